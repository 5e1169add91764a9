//! DNS over TLS and over HTTPS in front of an upstream.

use crate::Port;
use crate::api::Certificates;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What clients speak within TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// DNS over TLS (RFC 7858).
    Dns,
    /// DNS over HTTPS (RFC 8484), with POST, over HTTP/2.
    Http,
}

/// Takes queries on a port of 127.0.0.1 from clients with a certificate, and asks another server over TCP; stops when dropped.
pub struct Secured {
    port: Port,
    _tasks: JoinSet<()>,
}

impl Secured {
    /// Starts one in front of the server at this port of 127.0.0.1, on the current tokio runtime.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub async fn start(speaks: Speaks, server: u16, certificates: &Certificates) -> io::Result<Self> {
        let port = Port::free();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).await?;
        let protocols: &[&[u8]] = if speaks == Speaks::Http { &[b"h2"] } else { &[] };
        let accept = certificates.server(protocols);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, accept, speaks, (Ipv4Addr::LOCALHOST, server).into()));
        Ok(Self { port, _tasks: tasks })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }
}

async fn serve(listener: TcpListener, accept: TlsAcceptor, speaks: Speaks, to: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let accept = accept.clone();
        connections.spawn(async move {
            // A client that breaks off sees it itself.
            if let Ok(stream) = accept.accept(stream).await {
                let _ = match speaks {
                    Speaks::Dns => pass(stream, to).await,
                    Speaks::Http => answer(stream, to).await,
                };
            }
        });
    }
}

async fn pass(mut client: TlsStream<TcpStream>, to: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn answer(client: TlsStream<TcpStream>, to: SocketAddr) -> io::Result<()> {
    let service = service_fn(move |request| respond(request, to));
    let served = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(client), service);
    served.await.map_err(io::Error::other)
}

async fn respond(request: Request<Incoming>, to: SocketAddr) -> io::Result<Response<Full<Bytes>>> {
    let query = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    let mut server = TcpStream::connect(to).await?;
    server.write_all(&[&length.to_be_bytes()[..], &query].concat()).await?;
    let mut reply = vec![0; server.read_u16().await?.into()];
    server.read_exact(&mut reply).await?;
    let mut response = Response::new(Full::new(reply.into()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, const { hyper::header::HeaderValue::from_static("application/dns-message") });
    Ok(response)
}
