//! DNS over HTTPS (RFC 8484): one HTTP/2 connection to an upstream on each thread, with a stream for each query.

use crate::dial::{Config, Stream};
use crate::threads::PerThread;
use crate::upstream::{Fault, Method};
use api::task::{Beside, beside};
use api::wire::MAX_MESSAGE;
use api::{Error, os_words};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The type of the bodies.
const MESSAGE: &str = "application/dns-message";
/// Octets of headers that are read.
const MOST_HEADERS: u32 = 16 * 1024;
/// Octets of a body that the upstream may send before some are read.
const WINDOW: u32 = 128 * 1024;
/// The same, of all bodies on a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A query that was given up after so long, with nothing having come since, says that its connection is dead.
const DEAD: Duration = Duration::from_secs(1);

/// One upstream that is asked over HTTPS.
#[derive(Debug)]
pub struct Https(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    method: Method,
    /// `https://HOST:PORT/dns-query`.
    address: String,
    threads: PerThread<Slot>,
}

type Slot = Mutex<Option<Arc<Session>>>;

/// One connection; it lasts as long as somebody uses it, or may.
#[derive(Debug)]
struct Session {
    opened: Instant,
    state: watch::Receiver<State>,
    used: Mutex<Instant>,
    _task: Beside,
}

#[derive(Clone, Debug)]
enum State {
    Connecting,
    Open(SendRequest<Bytes>),
    Closed(String),
}

/// The reply to a query, as soon as it is there; dropping it gives the query up.
pub struct Answer {
    shared: Arc<Shared>,
    asked: Instant,
    reply: Pin<Box<dyn Future<Output = Result<Vec<u8>, Fault>> + Send>>,
    over: bool,
}

/// Why there is no reply.
struct Failure {
    words: String,
    /// The connection has failed, not the query.
    connection: bool,
}

impl Https {
    /// No connection yet; `label` is `HOST:PORT`.
    pub fn new(config: Config, label: &str, method: Method) -> Https {
        let threads = PerThread::default();
        let address = format!("https://{label}/dns-query");
        Https(Arc::new(Shared { config: Arc::new(config), method, address, threads }))
    }

    /// Sends a whole message.
    pub fn ask(&self, query: Vec<u8>, now: Instant) -> Answer {
        Answer::new(&self.0, query, false, now)
    }

    /// Sends a whole message over a connection that is opened for it.
    pub fn ask_alone(&self, query: Vec<u8>, now: Instant) -> Answer {
        Answer::new(&self.0, query, true, now)
    }

    /// Closes connections that are kept no longer.
    pub fn sweep(&self, now: Instant) {
        for thread in self.0.threads.all() {
            locked(thread).take_if(|session| self.0.is_over(session, now));
        }
    }
}

impl Shared {
    /// The connection of this thread, and whether it was there before.
    fn session(&self, alone: bool, now: Instant) -> Result<(Arc<Session>, bool), Fault> {
        let Some(slot) = self.threads.get().filter(|_| !alone) else {
            return self.open(now).map(|session| (session, false));
        };
        let mut slot = locked(slot);
        if let Some(session) = slot.as_ref().filter(|session| !self.is_over(session, now)) {
            return Ok((session.clone(), true));
        }
        let session = self.open(now)?;
        *slot = Some(session.clone());
        Ok((session, false))
    }

    /// Takes no more queries over a connection.
    fn forget(&self, session: &Arc<Session>) {
        if let Some(slot) = self.threads.get() {
            locked(slot).take_if(|kept| Arc::ptr_eq(kept, session));
        }
    }

    /// Whether nothing has come over this thread's connection since then.
    fn is_silent(&self, since: Instant) -> Option<Arc<Session>> {
        let slot = locked(self.threads.get()?);
        slot.as_ref().filter(|session| *locked(&session.used) <= since).cloned()
    }

    fn is_over(&self, session: &Session, now: Instant) -> bool {
        let since = |then| now.saturating_duration_since(then);
        let keep = &self.config.keep;
        matches!(*session.state.borrow(), State::Closed(_))
            || since(*locked(&session.used)) > keep.expire.max(self.config.patience)
            || keep.max_age.is_some_and(|age| since(session.opened) > age)
    }

    fn open(&self, now: Instant) -> Result<Arc<Session>, Fault> {
        let (sender, state) = watch::channel(State::Connecting);
        let task = beside("forward", serve(self.config.clone(), sender)).map_err(Fault::Failed)?;
        Ok(Arc::new(Session { opened: now, state, used: Mutex::new(now), _task: task }))
    }

    fn fault(&self, words: &str) -> Fault {
        let method = if self.method == Method::Get { "Get" } else { "Post" };
        Fault::Failed(Error::msg(format!("{method} \"{}\": {words}", self.address)))
    }

    fn request(&self, query: &[u8]) -> Result<(Request<()>, Bytes), Failure> {
        let builder = Request::builder().header(ACCEPT, MESSAGE);
        let (builder, body) = match self.method {
            Method::Get => {
                let address = format!("{}?dns={}", self.address, URL_SAFE_NO_PAD.encode(query));
                (builder.method("GET").uri(address), Bytes::new())
            }
            Method::Post => {
                let builder = builder.method("POST").uri(&self.address).header(CONTENT_TYPE, MESSAGE);
                (builder, Bytes::copy_from_slice(query))
            }
        };
        let request = builder.body(()).map_err(|e| Failure { words: e.to_string(), connection: false })?;
        Ok((request, body))
    }

    /// Asks over one connection.
    async fn exchange(&self, session: &Session, query: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut state = session.state.clone();
        let open = state.wait_for(|state| !matches!(state, State::Connecting)).await.map(|state| state.clone());
        let sender = match open {
            Ok(State::Open(sender)) => sender,
            Ok(State::Closed(words)) => return Err(Failure { words, connection: true }),
            _ => return Err(Failure { words: "EOF".to_owned(), connection: true }),
        };
        let (request, body) = self.request(query)?;
        let mut sender = sender.ready().await.map_err(Failure::of)?;
        let (response, mut stream) = sender.send_request(request, body.is_empty()).map_err(Failure::of)?;
        if !body.is_empty() {
            stream.send_data(body, true).map_err(Failure::of)?;
        }
        let response = response.await.map_err(Failure::of)?;
        *locked(&session.used) = self.config.clock.now();
        check(&response)?;
        read(response.into_body()).await
    }

    /// Asks, once more where the upstream has closed a connection that was there before.
    async fn ask(&self, mut query: Vec<u8>, alone: bool, now: Instant) -> Result<Vec<u8>, Fault> {
        let Some(id) = query.first_chunk_mut() else { return Err(self.fault("an empty query")) };
        let own = std::mem::take(id); // so that caches on the way know it again
        let (mut session, reused) = self.session(alone, now)?;
        let mut exchanged = self.exchange(&session, &query).await;
        if reused && matches!(&exchanged, Err(failure) if failure.connection) {
            self.forget(&session);
            session = self.session(alone, self.config.clock.now())?.0;
            exchanged = self.exchange(&session, &query).await;
        }
        let mut reply = exchanged.map_err(|failure| {
            if failure.connection {
                self.forget(&session);
            }
            self.fault(&failure.words)
        })?;
        if let Some(id) = reply.first_chunk_mut().filter(|id| **id == [0; 2]) {
            *id = own;
        }
        Ok(reply)
    }
}

/// Opens a connection, and serves it until it ends.
async fn serve(config: Arc<Config>, state: watch::Sender<State>) {
    let closed = match config.open().await {
        Err(words) => words,
        Ok((Stream::Tls(stream), _)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            let mut builder = Builder::new();
            builder.enable_push(false).max_header_list_size(MOST_HEADERS);
            builder.initial_window_size(WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
            match builder.handshake(stream).await {
                Ok((sender, connection)) => {
                    state.send_replace(State::Open(sender));
                    connection.await.map_or_else(|e| Failure::of(e).words, |()| "EOF".to_owned())
                }
                Err(e) => Failure::of(e).words,
            }
        }
        Ok(_) => "the server does not speak HTTP/2".to_owned(),
    };
    state.send_replace(State::Closed(closed));
}

/// Whether a response has a DNS message.
fn check(response: &Response<RecvStream>) -> Result<(), Failure> {
    let failed = |words: String| Err(Failure { words, connection: false });
    if response.status() != StatusCode::OK {
        return failed(format!("unexpected HTTP status {}", response.status().as_u16()));
    }
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let kind = String::from_utf8_lossy(kind.split(|c| *c == b';').next().unwrap_or_default()).trim().to_lowercase();
    if kind == MESSAGE { Ok(()) } else { failed(format!("unexpected content type {}", api::gotext::quote(&kind))) }
}

/// The whole body.
async fn read(mut body: RecvStream) -> Result<Vec<u8>, Failure> {
    let mut message = Vec::new();
    while let Some(octets) = body.data().await {
        let octets = octets.map_err(Failure::of)?;
        if message.len() + octets.len() > MAX_MESSAGE {
            return Err(Failure { words: format!("a message of more than {MAX_MESSAGE} octets"), connection: false });
        }
        message.extend_from_slice(&octets);
        body.flow_control().release_capacity(octets.len()).map_err(Failure::of)?;
    }
    Ok(message)
}

impl Failure {
    fn of(e: h2::Error) -> Failure {
        let refused = e.is_reset() && e.reason() == Some(Reason::REFUSED_STREAM);
        let words = match e.get_io() {
            Some(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
            Some(io) => os_words(io),
            None => format!("http2: {e}"),
        };
        Failure { words, connection: refused || !e.is_reset() }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answer {
    fn new(shared: &Arc<Shared>, query: Vec<u8>, alone: bool, now: Instant) -> Answer {
        let asks = shared.clone();
        let reply = Box::pin(async move { asks.ask(query, alone, now).await });
        Answer { shared: shared.clone(), asked: now, reply, over: false }
    }

    /// What the end of the wait for it is called.
    pub fn timed_out(&self) -> Error {
        match self.shared.fault("context deadline exceeded (Client.Timeout exceeded while awaiting headers)") {
            Fault::Failed(error) => error,
            Fault::Wrong(_) => Error::msg("i/o timeout"),
        }
    }
}

impl Future for Answer {
    type Output = Result<Vec<u8>, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.reply.as_mut().poll(cx);
        self.over = polled.is_ready();
        polled
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let config = &self.shared.config;
        let waited = config.clock.now().saturating_duration_since(self.asked);
        if !self.over
            && waited >= DEAD.min(config.patience)
            && let Some(session) = self.shared.is_silent(self.asked)
        {
            self.shared.forget(&session);
        }
    }
}
