//! How stream connections to an upstream are opened.

use crate::metrics;
use crate::pool::Keep;
use crate::tls::Client;
use crate::upstream::Proto;
use api::{Clock, os_words};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// How connections to an upstream are made and kept.
#[derive(Debug)]
pub struct Config {
    /// Its address; or why there is none.
    pub address: Result<SocketAddr, String>,
    /// The address that connections come from.
    pub source: Option<IpAddr>,
    /// How connections are secured, if they are.
    pub tls: Option<Client>,
    /// How long a connection is waited for, until queries can be sent.
    pub patience: Duration,
    /// How long connections are kept.
    pub keep: Keep,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<metrics::Upstream>,
    /// Idle connections on all threads; only counted where there is a limit.
    pub idle: AtomicUsize,
}

impl Config {
    /// Opens a connection.
    ///
    /// # Errors
    /// In the words of Go's library.
    pub async fn open(&self) -> Result<(Stream, Option<SocketAddr>), String> {
        let address = *self.address.as_ref().map_err(|words| format!("dial tcp: {words}"))?;
        let opened = async {
            let stream = connect(address, self.source).await;
            let stream = stream.map_err(|e| format!("dial tcp {address}: connect: {}", os_words(&e)))?;
            let local = stream.local_addr().ok();
            let stream = match &self.tls {
                Some(client) => Stream::Tls(Box::new(client.shake(stream, address).await?)),
                None => Stream::Tcp(stream),
            };
            Ok((stream, local))
        };
        timeout(self.patience, opened).await.unwrap_or_else(|_| Err(timed_out(address)))
    }

    /// The transport.
    pub fn proto(&self) -> Proto {
        if self.tls.is_some() { Proto::Tls } else { Proto::Tcp }
    }
}

/// An open connection.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Tcp(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What it is called that a connection is not open in time.
pub fn timed_out(address: SocketAddr) -> String {
    format!("dial tcp {address}: i/o timeout")
}

async fn connect(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.set_nodelay(true)?;
    socket.connect(remote).await
}
