//! The one HTTP server: shows the pages that plugins mount (/metrics, /health, /ready).
//!
//! It runs on the main thread's runtime, beside the workers. A connection serves one request and lives a few seconds, so that
//! nobody can hold it; Prometheus and the kubelet open a new one each time anyway.

use crate::sockets;
use api::http::{Mount, Page, Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Until the request has been read, and until the reply has been written.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of one address at the same time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// All addresses with their pages.
#[derive(Default)]
pub struct HttpServer {
    open: BTreeMap<String, Endpoint>,
}

/// An open address; closed when it is dropped.
struct Endpoint {
    pages: Pages,
    _accepting: JoinSet<()>,
}

/// The pages of an address by their paths; exchanged at a reload.
type Pages = Arc<Mutex<BTreeMap<&'static str, Mount>>>;

impl HttpServer {
    /// Shows these pages from now on, and no others. Addresses that stay are not closed in between.
    ///
    /// # Errors
    /// An address cannot be opened; then nothing has changed.
    pub async fn apply(&mut self, mounts: Vec<Mount>) -> Result<(), String> {
        let mut wanted: BTreeMap<String, BTreeMap<&'static str, Mount>> = BTreeMap::new();
        for mount in mounts {
            wanted.entry(mount.address.clone()).or_default().insert(mount.path, mount);
        }
        let mut opened = BTreeMap::new();
        for (address, pages) in wanted.iter().filter(|(address, _)| !self.open.contains_key(*address)) {
            match open(address).await {
                Ok(listener) => drop(opened.insert(address.clone(), listener)),
                Err(e) if pages.values().all(|mount| mount.optional) => tracing::error!("{e}"),
                Err(e) => return Err(e),
            }
        }
        self.open.retain(|address, _| wanted.contains_key(address));
        for (address, pages) in wanted {
            if let Some(endpoint) = self.open.get(&address) {
                *lock(&endpoint.pages) = pages;
            } else if let Some(listener) = opened.remove(&address) {
                self.open.insert(address, Endpoint::new(listener, pages));
            }
        }
        Ok(())
    }

    /// Takes away the pages that end with the order to stop; addresses without other pages are closed.
    pub fn stop_saying_ready(&mut self) {
        self.open.retain(|_, endpoint| {
            let mut pages = lock(&endpoint.pages);
            pages.retain(|_, mount| !mount.until_stop);
            !pages.is_empty()
        });
    }

    /// Closes all addresses.
    pub fn close(&mut self) {
        self.open.clear();
    }
}

impl Endpoint {
    fn new(listener: TcpListener, pages: BTreeMap<&'static str, Mount>) -> Endpoint {
        let pages: Pages = Arc::new(Mutex::new(pages));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, pages.clone()));
        Endpoint { pages, _accepting: accepting }
    }
}

/// Opens `host:port`. Without a host, and for `0.0.0.0`, on all addresses of both families, as Go does it.
async fn open(address: &str) -> Result<TcpListener, String> {
    let failed = |e: io::Error| {
        let advice = sockets::advice(&e, "in the directive that opens it");
        format!("listen tcp {address}: bind: {}{advice}", api::os_words(&e))
    };
    let places = match address.strip_prefix("0.0.0.0:").or_else(|| address.strip_prefix(':')) {
        Some(port) => vec![format!("[::]:{port}"), format!("0.0.0.0:{port}")],
        None => vec![address.to_owned()],
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for place in places {
        let mut found: Vec<SocketAddr> = tokio::net::lookup_host(&place).await.map_err(failed)?.collect();
        // A name with addresses of both families means that of IPv4 (Go behaviour): `localhost` is where scrapers look.
        found.sort_by_key(SocketAddr::is_ipv6);
        for address in found {
            match listen(address) {
                Ok(listener) => return Ok(listener),
                Err(e) => last = e,
            }
        }
    }
    Err(failed(last))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until it is dropped, with all of them.
async fn accept(listener: TcpListener, pages: Pages) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, pages.clone()))),
                // Out of descriptors, most likely: closing connections give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => (),
        }
    }
}

/// Answers one request.
async fn converse(stream: TcpStream, pages: Pages) {
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let response = show(&request, &pages);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    // A client that breaks off, or takes too long, needs no further words.
    let _ = tokio::time::timeout(2 * TIMEOUT, connection).await;
}

fn show(request: &hyper::Request<Incoming>, pages: &Pages) -> hyper::Response<Full<Bytes>> {
    let path = request.uri().path();
    let page: Option<Page> = lock(pages).get(path).map(|mount| mount.page.clone());
    let asked = Request {
        method: request.method().to_string(),
        path: path.to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
    };
    let Response { status, content_type, body } =
        page.map_or_else(|| Response::text(404, "404 page not found\n"), |page| page(&asked));
    let mut response = hyper::Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}

/// No invariant of the pages spans two statements.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn mount(address: &str, path: &'static str, text: &'static str) -> Mount {
        let page = Arc::new(move |_: &Request| Response::text(200, text));
        Mount { address: address.into(), path, optional: false, until_stop: path == "/ready", page }
    }

    async fn get(address: &str, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_default();
        Ok(format!("{} {body}", head.split(' ').nth(1).unwrap_or_default()))
    }

    #[tokio::test]
    async fn pages_come_and_go() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut server = HttpServer::default();
        server.apply(vec![mount(&free, "/health", "OK"), mount(&free, "/ready", "OK")]).await.unwrap();
        assert_eq!(get(&free, "/health").await.unwrap(), "200 OK");
        assert_eq!(get(&free, "/nosuch").await.unwrap(), "404 404 page not found\n");

        let broken = server.apply(vec![mount("192.0.2.77:1", "/health", "")]).await;
        let words = "listen tcp 192.0.2.77:1: bind: cannot assign requested address";
        assert_eq!(broken.unwrap_err().lines().next(), Some(words));
        assert_eq!(get(&free, "/health").await.unwrap(), "200 OK", "a failure changes nothing");

        server.stop_saying_ready();
        assert_eq!(get(&free, "/ready").await.unwrap(), "404 404 page not found\n");
        server.apply(vec![mount(&free, "/health", "new")]).await.unwrap();
        assert_eq!(get(&free, "/health").await.unwrap(), "200 new");
        server.close();
        tokio::task::yield_now().await;
        assert!(get(&free, "/health").await.is_err());
    }
}
