//! One kind of object, listed and watched for as long as the server runs.
//!
//! A list and the watch that follows it are one request where the API server knows streaming lists (KEP-3157); else
//! the list comes page by page. A watch that ends is resumed from the last version it told. Where that version is no
//! longer known, or anything casts doubt on what was read, the kind is listed again; what the index holds stays in
//! place until the new list is complete.

pub mod apply;
mod backoff;
mod lines;

#[cfg(test)]
mod tests;

use crate::connect::{Api, Failure};
use crate::index::{Kind, Writer};
use crate::metrics::Freshness;
use api::Clock;
use api::task::Stop;
use apply::Event;
pub use apply::Status;
use backoff::{Backoff, random};
use kube::client::Body;
use lines::Lines;
pub use lines::whole;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is to be watched.
pub struct Watch {
    /// The kind of object.
    pub kind: Kind,
    /// Label selector, as written in the Corefile; empty for everything.
    pub labels: String,
}

/// The one writer of an index, shared by the watches of all kinds; never locked by a query.
pub type SharedWriter = Arc<Mutex<Writer>>;

/// Keeps `writer` equal to what the API holds of one kind, until told to stop.
pub async fn follow(watch: Watch, api: Arc<Api>, writer: SharedWriter, clock: Clock, mut stop: Stop) {
    let freshness = Freshness::new(api.host(), plural(watch.kind));
    let mut follower = Follower {
        watch,
        api,
        writer,
        clock,
        streaming: true,
        version: None,
        backoff: Backoff::default(),
        failing: false,
        freshness,
    };
    stop.or(follower.run()).await;
    follower.freshness.lost();
}

struct Follower {
    watch: Watch,
    api: Arc<Api>,
    writer: SharedWriter,
    clock: Clock,
    /// Whether to ask for streaming lists.
    streaming: bool,
    /// Up to where the index follows the API; `None` when the kind must be listed.
    version: Option<String>,
    backoff: Backoff,
    failing: bool,
    freshness: Freshness,
}

/// Why a request ended.
#[derive(Debug)]
enum End {
    /// The server closed the stream in good order.
    Closed,
    /// The version is no longer known, or what was read cannot be trusted: list again.
    Doubt(String),
    /// The server does not know streaming lists.
    NoStreaming(String),
    /// Anything else: try again from where the index stands.
    Failed {
        /// In words.
        why: String,
        /// How long to wait at least.
        wait: Duration,
    },
}

impl Follower {
    async fn run(&mut self) {
        loop {
            let end = match self.version.clone() {
                Some(version) => self.resume(&version).await,
                None if self.streaming => self.stream().await,
                None => match self.list().await {
                    Ok(()) => continue,
                    Err(end) => end,
                },
            };
            if !matches!(end, End::Closed) {
                self.after(end).await;
            }
        }
    }

    /// Notes why a request ended, and waits before the next one.
    async fn after(&mut self, end: End) {
        let kind = plural(self.watch.kind);
        self.freshness.lost();
        let (cap, least) = match &end {
            End::Doubt(_) => (backoff::LIST_CAP, Duration::ZERO),
            End::Failed { wait, .. } => (backoff::CONNECT_CAP, *wait),
            End::Closed | End::NoStreaming(_) => (backoff::CONNECT_CAP, Duration::ZERO),
        };
        match end {
            End::Closed => return,
            End::NoStreaming(why) => {
                tracing::debug!("the API server streams no lists of {kind}: {why}");
                self.streaming = false;
            }
            End::Doubt(why) => {
                tracing::debug!("{kind} are listed again: {why}");
                self.version = None;
            }
            End::Failed { why, .. } if self.failing => tracing::debug!("cannot watch {kind}: {why}"),
            End::Failed { why, .. } => {
                tracing::warn!("cannot watch {kind} at {}: {why}; answers stay as they are", self.api.origin());
                self.failing = true;
            }
        }
        tokio::time::sleep(self.backoff.next(cap).max(least)).await;
    }

    /// Lists and goes on watching in one request.
    async fn stream(&mut self) -> End {
        let query = [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")];
        let api = self.api.clone();
        let under_way = api.inflight().await;
        let body = match self.open(&query).await {
            Ok(body) => body,
            Err(Failure::Status { code: 400 | 404 | 422, message, .. }) => return End::NoStreaming(message),
            Err(failure) => return end_of(failure),
        };
        self.writer().begin_list(self.watch.kind);
        let mut lines = Lines::new(body);
        loop {
            match self.next(&mut lines).await {
                Ok(Some(Event::InitialEnd(version))) => {
                    drop(under_way);
                    self.listed(version);
                    return self.watch(lines).await;
                }
                Ok(Some(Event::Error { code: 410, message })) => return End::Doubt(message),
                Ok(Some(Event::Error { message, .. })) => return End::NoStreaming(message),
                Ok(Some(_)) => (),
                Ok(None) => return failed("the list ended before it was complete"),
                Err(end) => return end,
            }
        }
    }

    /// Lists page by page.
    async fn list(&mut self) -> Result<(), End> {
        let api = self.api.clone();
        let _under_way = api.inflight().await;
        self.writer().begin_list(self.watch.kind);
        let mut next = String::new();
        loop {
            let mut query = vec![("limit", PAGE)];
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            let body = api.list(&self.path(&query)).await.map_err(end_of)?;
            let page = lines::whole(body).await.map_err(failed)?;
            let page = apply::page(&mut self.writer(), self.watch.kind, &page, self.clock.unix());
            let page = page.map_err(|e| failed(format!("a list that is not understood: {e}")))?;
            next = page.next;
            if next.is_empty() {
                self.listed(page.version);
                return Ok(());
            }
        }
    }

    /// Goes on watching from `version`.
    async fn resume(&mut self, version: &str) -> End {
        let api = self.api.clone();
        let under_way = api.inflight().await;
        let opened = self.open(&[("resourceVersion", version)]).await;
        drop(under_way);
        match opened {
            Ok(body) => self.watch(Lines::new(body)).await,
            Err(failure) => end_of(failure),
        }
    }

    /// Applies what a watch tells until it ends.
    async fn watch(&mut self, mut lines: Lines) -> End {
        let opened = self.clock.now();
        loop {
            let event = match self.next(&mut lines).await {
                Ok(Some(event)) => event,
                Ok(None) if self.clock.now() - opened < SHORT => {
                    return failed("the watch ended as soon as it had begun");
                }
                Ok(None) => return End::Closed,
                Err(end) => return end,
            };
            match event {
                Event::Applied(version) | Event::Bookmark(version) | Event::InitialEnd(version) => {
                    self.works();
                    self.version = Some(version).filter(|v| !v.is_empty()).or(self.version.take());
                }
                Event::Unknown => (),
                Event::Error { code: 410, message } => return End::Doubt(message),
                Event::Error { code, message } => return failed(format!("status {code}: {message}")),
            }
        }
    }

    /// Reads and applies the next event; `None` at the end of the stream.
    async fn next(&mut self, lines: &mut Lines) -> Result<Option<Event>, End> {
        let line = tokio::time::timeout(SILENCE, lines.next()).await;
        let line = line.map_err(|_| failed(format!("nothing came for {} s", SILENCE.as_secs())))?;
        let Some(line) = line.map_err(failed)? else { return Ok(None) };
        let now = self.clock.unix();
        self.freshness.told(now);
        let event = apply::line(&mut self.writer(), self.watch.kind, line, now);
        event.map(Some).map_err(|e| End::Doubt(format!("an event that is not understood: {e}")))
    }

    /// Opens a watch.
    async fn open(&self, query: &[(&str, &str)]) -> Result<Body, Failure> {
        let seconds = (WATCH.as_secs() + random() % WATCH.as_secs()).to_string();
        let common = [("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", &seconds)];
        self.api.watch(&self.path(&[&common[..], query].concat())).await
    }

    fn path(&self, query: &[(&str, &str)]) -> String {
        let path = collection(self.watch.kind) + "?";
        let query_start = path.len();
        let mut out = form_urlencoded::Serializer::for_suffix(path, query_start);
        out.extend_pairs(query);
        if !self.watch.labels.is_empty() {
            out.append_pair("labelSelector", &self.watch.labels);
        }
        if self.watch.kind == Kind::Pod {
            out.append_pair("fieldSelector", LIVE_PODS);
        }
        out.finish()
    }

    /// The list is complete.
    fn listed(&mut self, version: String) {
        let now = self.clock.unix();
        self.writer().end_list(self.watch.kind, now.as_secs() as u32);
        self.freshness.listed(now);
        self.version = Some(version);
        if self.failing {
            tracing::info!("{} are watched again", plural(self.watch.kind));
            self.failing = false;
        }
    }

    /// The watch has told something: what failed before is over.
    fn works(&mut self) {
        self.backoff.reset();
        if self.failing {
            tracing::info!("{} are watched again", plural(self.watch.kind));
            self.failing = false;
        }
    }

    /// A panic while an event was applied leaves the index as it was at some point between two values: usable.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_of(failure: Failure) -> End {
    match failure {
        Failure::Status { code: 410, message, .. } => End::Doubt(message),
        Failure::Status { retry_after, .. } => {
            End::Failed { why: failure.to_string(), wait: retry_after.unwrap_or_default().min(LONGEST_WAIT) }
        }
        Failure::Unreachable(why) => failed(why),
    }
}

fn failed(why: impl Into<String>) -> End {
    End::Failed { why: why.into(), wait: Duration::ZERO }
}

/// The path of all objects of a kind, over all namespaces.
fn collection(kind: Kind) -> String {
    use k8s_openapi::api::{core::v1, discovery::v1 as discovery};
    use kube::Resource;
    match kind {
        Kind::Service => v1::Service::url_path(&(), None),
        Kind::EndpointSlice => discovery::EndpointSlice::url_path(&(), None),
        Kind::Namespace => v1::Namespace::url_path(&(), None),
        Kind::Pod => v1::Pod::url_path(&(), None),
    }
}

/// The name of a kind in the API's paths, and in the log.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "services",
        Kind::EndpointSlice => "endpointslices",
        Kind::Namespace => "namespaces",
        Kind::Pod => "pods",
    }
}

/// Pods that have ended have no name any more (spec 10.2).
const LIVE_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown";
/// Objects in a page of a list. A page is held in memory as a whole.
const PAGE: &str = "250";
/// A watch is asked for this long, up to twice as long: API servers close them anyway, and not all at once.
const WATCH: Duration = Duration::from_secs(300);
/// The longest that a server may ask for (Retry-After).
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A watch that ends sooner than this has failed.
const SHORT: Duration = Duration::from_secs(1);
/// API servers send a bookmark every minute on a watch that is otherwise silent: one that misses two is dead.
const SILENCE: Duration = Duration::from_secs(150);
