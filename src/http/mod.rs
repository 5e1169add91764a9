//! The one HTTP server: shows the pages that plugins mount (/metrics, /health, /ready).
//!
//! It runs on the main thread's runtime, beside the workers. A connection serves one request and lives a few seconds, so that
//! nobody can hold it; Prometheus and the kubelet open a new one each time anyway. A web configuration protects an address
//! with TLS and passwords ([`web_config`]).

mod guard;
mod open;
mod path;
mod tls;
mod web_config;

#[cfg(test)]
mod tests;

use crate::metrics;
use api::Clock;
use api::http::{Mount, Page, Request, Response, Unopened};
use api::task::{Stop, StopSource};
use guard::{Guard, Verdict};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use web_config::Protection;

/// Until the request has been read, and until the reply has been written.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of one address at the same time. A further one takes the place of the oldest, which has had its time: a request takes
/// milliseconds, and who sends his slowly must not keep the kubelet from asking.
const MAX_CONNECTIONS: usize = 64;
/// Octets of a request.
const MAX_REQUEST: usize = 16 * 1024;
/// What a client gets that does not speak TLS where it should (Go's words).
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// How long clients may take to be answered when the server ends.
const LAST: Duration = Duration::from_secs(1);

/// All addresses with their pages.
pub struct HttpServer {
    clock: Clock,
    open: BTreeMap<String, Endpoint>,
}

/// An open address. When it is dropped it is closed; what was asked until then is answered.
struct Endpoint {
    shown: Arc<Shown>,
    stop: StopSource,
    accepting: JoinSet<()>,
}

/// Pages that can be shown: what could fail has succeeded.
pub struct Pages {
    wanted: BTreeMap<String, Site>,
    opened: BTreeMap<String, TcpListener>,
}

/// What the connections of an address share.
struct Shown {
    clock: Clock,
    site: Mutex<Site>,
    guard: Guard,
    /// What was wrong with the web configuration when it was read last.
    fault: Mutex<Option<String>>,
}

/// What an address shows, and what protects it; exchanged at a reload.
#[derive(Default)]
struct Site {
    pages: BTreeMap<&'static str, Mount>,
    web_config: Option<PathBuf>,
}

impl HttpServer {
    /// A server that shows nothing yet.
    pub fn new(clock: Clock) -> HttpServer {
        HttpServer { clock, open: BTreeMap::new() }
    }

    /// Opens the addresses of these pages that are not open yet. Nothing else changes.
    ///
    /// # Errors
    /// An address cannot be opened (see [`Unopened`]), or is protected in two ways.
    pub async fn open(&self, mounts: Vec<Mount>) -> Result<Pages, String> {
        let mut wanted: BTreeMap<String, Site> = BTreeMap::new();
        for mount in mounts {
            wanted.entry(mount.address.clone()).or_default().take(mount)?;
        }
        let mut opened = BTreeMap::new();
        for (address, site) in wanted.iter().filter(|(address, _)| !self.open.contains_key(*address)) {
            match open::open(address).await {
                Ok(listener) => drop(opened.insert(address.clone(), listener)),
                Err(e) => self.without(site).ok_or_else(|| e.clone()).map(|words| tracing::error!("{words}: {e}"))?,
            }
        }
        Ok(Pages { wanted, opened })
    }

    /// What is said where the pages of `site` may be missing: all of them, and none of them is shown now.
    fn without(&self, site: &Site) -> Option<String> {
        let shown = |path| self.open.values().any(|endpoint| lock(&endpoint.shown.site).pages.contains_key(path));
        let words = site.pages.values().map(|mount| match mount.unopened {
            Unopened::Logged(words) if !shown(mount.path) => Some(words),
            _ => None,
        });
        words.collect::<Option<Vec<_>>>().map(|words| words.join(", "))
    }

    /// Shows these pages from now on, and no others. Addresses that stay are not closed in between.
    pub fn show(&mut self, Pages { wanted, mut opened }: Pages) {
        self.open.retain(|address, _| wanted.contains_key(address));
        for (address, site) in wanted {
            if let Some(endpoint) = self.open.get(&address) {
                *lock(&endpoint.shown.site) = site;
            } else if let Some(listener) = opened.remove(&address) {
                self.open.insert(address.clone(), Endpoint::new(listener, site, self.clock.clone()));
            }
            if let Some(endpoint) = self.open.get(&address) {
                // Whether the file is as it should be is said at once, not when the first client comes.
                let _ = endpoint.shown.protection();
            }
        }
    }

    /// Lets the pages that end with the order to stop say so: 503.
    pub fn say_that_it_stops(&self) {
        for endpoint in self.open.values() {
            for mount in lock(&endpoint.shown.site).pages.values_mut().filter(|mount| mount.until_stop) {
                mount.page = Arc::new(|_| Response::text(503, "the server stops"));
            }
        }
    }

    /// Closes the addresses that have no other pages than those; what was asked until then is answered.
    pub fn close_what_has_stopped(&mut self) {
        self.open.retain(|_, endpoint| !lock(&endpoint.shown.site).pages.values().all(|mount| mount.until_stop));
    }

    /// Closes all addresses, at once; what was asked until then is answered, as far as that takes no longer than a second.
    pub fn close(&mut self) -> impl Future<Output = ()> + use<> {
        let open = std::mem::take(&mut self.open);
        open.values().for_each(|endpoint| endpoint.stop.stop());
        async move {
            let all = async {
                for mut endpoint in open.into_values() {
                    while endpoint.accepting.join_next().await.is_some() {}
                }
            };
            let _ = tokio::time::timeout(LAST, all).await; // who is slow has to ask another server
        }
    }
}

impl Endpoint {
    fn new(listener: TcpListener, site: Site, clock: Clock) -> Endpoint {
        let shown = Shown { clock, site: Mutex::new(site), guard: Guard::default(), fault: Mutex::default() };
        let shown = Arc::new(shown);
        let stop = StopSource::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, shown.clone(), stop.listen()));
        Endpoint { shown, stop, accepting }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.stop();
        self.accepting.detach_all();
    }
}

impl Site {
    /// Adds a page. What protects one page of an address protects all of them.
    fn take(&mut self, mount: Mount) -> Result<(), String> {
        match (&self.web_config, &mount.web_config) {
            (Some(one), Some(other)) if one != other => {
                let (one, other) = (one.display(), other.display());
                return Err(format!("{} is to be protected by both {one} and {other}", mount.address));
            }
            (None, Some(file)) => self.web_config = Some(file.clone()),
            _ => (),
        }
        self.pages.insert(mount.path, mount);
        Ok(())
    }
}

impl Shown {
    /// Reads what protects the address; `None` while the file is not as it should be. A fault is logged when it is new.
    fn protection(&self) -> Option<Protection> {
        let Some(file) = lock(&self.site).web_config.clone() else { return Some(Protection::default()) };
        let read = Protection::read(&file);
        let mut fault = lock(&self.fault);
        match &read {
            Ok(_) if fault.take().is_some() => tracing::info!("web configuration {} is in use again", file.display()),
            Err(e) if fault.as_ref() != Some(e) => {
                tracing::error!("web configuration {}: {e}; what it protects is not shown", file.display());
                *fault = Some(e.clone());
            }
            _ => (),
        }
        read.ok()
    }
}

/// Accepts connections until `stop`; ends with the last of them.
async fn accept(listener: TcpListener, shown: Arc<Shown>, mut stop: Stop) {
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    // A client that breaks off, or takes too long, needs no further words.
    let mut begin = |connections: &mut JoinSet<()>, stream| {
        make_room(&mut oldest_first);
        let conversation = converse(stream, shown.clone());
        let limited = async { drop(tokio::time::timeout(2 * TIMEOUT, conversation).await) };
        oldest_first.push_back(connections.spawn(limited));
    };
    loop {
        tokio::select! {
            biased;
            () = stop.stopped() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => begin(&mut connections, stream),
                // Out of descriptors, most likely: closing connections give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => (),
        }
    }
    while let Poll::Ready(Ok((stream, _))) = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await {
        begin(&mut connections, stream);
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Ends the oldest connection where there is no place for another one.
fn make_room(oldest_first: &mut VecDeque<AbortHandle>) {
    oldest_first.retain(|connection| !connection.is_finished());
    if oldest_first.len() >= MAX_CONNECTIONS
        && let Some(oldest) = oldest_first.pop_front()
    {
        oldest.abort();
        metrics::shed_elsewhere("http");
    }
}

/// Answers one request, over TLS where that is wanted.
async fn converse(mut stream: TcpStream, shown: Arc<Shown>) -> Option<()> {
    let protection = Arc::new(shown.protection()?);
    let Some(tls) = &protection.tls else { return answer(stream, false, protection, shown).await };
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    if first[0].is_ascii_uppercase() {
        // The name of a method: a scraper that has to be told of TLS.
        let _request = stream.read(&mut vec![0; MAX_REQUEST]).await.ok()?;
        return stream.write_all(NOT_TLS).await.ok();
    }
    let stream = tls.acceptor.accept(stream).await.ok()?;
    let (_, session) = stream.get_ref();
    if !tls.admits(session.peer_certificates()) {
        return None;
    }
    let http2 = session.alpn_protocol() == Some(b"h2");
    answer(stream, http2, protection, shown).await
}

async fn answer<S>(stream: S, http2: bool, protection: Arc<Protection>, shown: Arc<Shown>) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let respond = service_fn(move |request| {
        let (protection, shown) = (protection.clone(), shown.clone());
        async move { Ok::<_, Infallible>(respond(&request, &protection, &shown).await) }
    });
    let stream = TokioIo::new(stream);
    if http2 {
        let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        return server
            .timer(TokioTimer::new())
            .max_concurrent_streams(1)
            .max_header_list_size(MAX_REQUEST as u32)
            .serve_connection(stream, respond)
            .await
            .ok();
    }
    let mut server = hyper::server::conn::http1::Builder::new();
    server.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(TIMEOUT).max_buf_size(MAX_REQUEST);
    server.serve_connection(stream, respond).await.ok()
}

/// The response to a request, if it is let in.
async fn respond(
    request: &hyper::Request<Incoming>,
    protection: &Protection,
    shown: &Shown,
) -> hyper::Response<Full<Bytes>> {
    let verdict = shown.guard.check(protection, request.headers(), shown.clock.now()).await;
    let mut response = into_http(match verdict {
        Verdict::Welcome => page(request, shown),
        Verdict::Unauthorized => Response::text(401, "Unauthorized\n"),
        Verdict::TooMany => Response::text(429, "Too Many Requests\n"),
    });
    let headers = response.headers_mut();
    headers.extend(protection.headers.clone());
    match (verdict, protection.limit) {
        (Verdict::Unauthorized, _) => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"))),
        (Verdict::TooMany, Some(limit)) => drop(headers.insert(RETRY_AFTER, guard::retry_after(limit).into())),
        _ => (),
    }
    response
}

fn page(request: &hyper::Request<Incoming>, shown: &Shown) -> Response {
    let path = request.uri().path();
    let query = request.uri().query();
    if let Some(clean) = path::cleaned(path) {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        return Response::redirect(307, "Temporary Redirect", clean + &query);
    }
    let page: Option<Page> = lock(&shown.site).pages.get(path).map(|mount| mount.page.clone());
    let asked = Request {
        method: request.method().to_string(),
        path: path.to_owned(),
        query: query.unwrap_or_default().to_owned(),
    };
    page.map_or_else(|| Response::text(404, "404 page not found\n"), |page| page(&asked))
}

fn into_http(Response { status, content_type, location, body }: Response) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if matches!(status, 401 | 404 | 429) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    if let Some(location) = HeaderValue::try_from(location).ok().filter(|location| !location.is_empty()) {
        headers.insert(LOCATION, location);
    }
    response
}

/// No invariant of what is locked spans two statements.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
