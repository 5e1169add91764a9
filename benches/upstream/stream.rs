//! Upstreams over TCP and TLS: many questions on one connection, answered each in its time.

use crate::upstream::{Shared, Way};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What is known of connections.
#[derive(Default)]
pub struct Connections {
    /// How many were opened.
    pub opened: AtomicUsize,
    /// The most questions that waited for their replies on one of them.
    pub most: AtomicUsize,
}

/// Takes connections.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let mut tasks = JoinSet::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        // Without it replies wait for one another; where it cannot be set, they do.
        let _ = stream.set_nodelay(true);
        shared.connections.opened.fetch_add(1, Relaxed);
        let (shared, tls) = (shared.clone(), tls.clone());
        tasks.spawn(async move {
            match tls {
                None => connection(stream, peer.port(), shared).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, peer.port(), shared).await;
                    }
                }
            }
        });
        while tasks.try_join_next().is_some() {}
    }
}

/// Answers on one connection, until the client has enough.
async fn connection(stream: impl AsyncRead + AsyncWrite + Send + 'static, source: u16, shared: Arc<Shared>) {
    let (mut reader, writer) = tokio::io::split(stream);
    let writer = Arc::new(Mutex::new(writer));
    let outstanding = Arc::new(AtomicUsize::new(0));
    let mut late = JoinSet::new();
    while let Ok(length) = reader.read_u16().await {
        let mut message = vec![0; length.into()];
        if reader.read_exact(&mut message).await.is_err() {
            return;
        }
        for sent in shared.receive(&message, source, Way::Tcp) {
            let now = outstanding.fetch_add(1, Relaxed) + 1;
            shared.connections.most.fetch_max(now, Relaxed);
            let (writer, outstanding) = (writer.clone(), outstanding.clone());
            late.spawn(async move {
                tokio::time::sleep(sent.after).await;
                outstanding.fetch_sub(1, Relaxed);
                write(&writer, &sent.message).await;
            });
        }
        while late.try_join_next().is_some() {}
    }
}

async fn write<S: AsyncWrite>(writer: &Mutex<WriteHalf<S>>, message: &[u8]) {
    let framed = [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let mut writer = writer.lock().await;
    // Whoever asked may have gone.
    let _ = writer.write_all(&framed).await;
    let _ = writer.flush().await;
}
