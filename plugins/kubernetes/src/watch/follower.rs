//! One kind of object, listed and watched for as long as the server runs.

use super::apply::{self, Event, Target};
use super::backoff::{Backoff, about};
use super::end::{Doubt, End, LONGEST_WAIT, is_before};
use super::items::Items;
use super::lines::{Lines, NoLine, piece};
use super::{Said, SharedRecord, SharedWriter, Watch, locked, plural};
use crate::connect::{Api, Failure};
use crate::metrics::Freshness;
use api::Clock;
use kube::client::Body;
use std::pin::pin;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

/// Keeps index and record equal to what the API holds of one kind.
pub struct Follower {
    watch: Watch,
    api: Arc<Api>,
    writer: SharedWriter,
    record: SharedRecord,
    clock: Clock,
    /// How to list.
    listing: Listing,
    /// The next watch follows a dead one.
    trial: bool,
    after_doubt: Backoff,
    after_refusal: Backoff,
    away: Backoff,
    unknown: Backoff,
    said: Said,
    freshness: Freshness,
}

/// How to list.
struct Listing {
    /// The server knows streaming lists, as far as is known.
    streaming: bool,
    /// The last list did not come as a stream, though it was asked for.
    in_pages: bool,
    /// How long a streaming list, with the watch that it becomes, is asked for.
    time: Duration,
    /// All has to come in one page.
    whole: bool,
}

/// A watch that goes on.
struct Open {
    lines: Lines,
    since: Instant,
    /// How long the server was asked to let it go on.
    asked: Duration,
}

impl Follower {
    /// Has nothing listed yet.
    pub fn new(watch: Watch, api: Arc<Api>, writer: SharedWriter, record: SharedRecord, clock: Clock) -> Self {
        let freshness = Freshness::new(api.host(), plural(watch.kind));
        let listing = Listing { streaming: true, in_pages: false, time: watch.pace.watch, whole: false };
        Follower {
            watch,
            api,
            writer,
            record,
            said: Said::new(clock.clone()),
            clock,
            listing,
            trial: false,
            after_doubt: Backoff::new(LIST_CAP),
            after_refusal: Backoff::new(REFUSED_CAP),
            away: Backoff::new(AWAY_CAP),
            unknown: Backoff::new(UNKNOWN_CAP),
            freshness,
        }
    }

    /// Follows until it is dropped. What comes through `doubts` are reasons to list again.
    pub async fn run(&mut self, mut doubts: Receiver<(Doubt, String)>) {
        loop {
            let end = {
                let attempt = pin!(self.attempt());
                tokio::select! {
                    biased;
                    Some((doubt, why)) = doubts.recv() => End::Doubt(doubt, why),
                    end = attempt => end,
                }
            };
            self.after(end).await;
            if locked(&self.record).version().is_none() {
                // It has been decided to list: what cast doubt on what is known before does so no more.
                while doubts.try_recv().is_ok() {}
            }
        }
    }

    /// Makes one request, or a list in several, and reads what comes until that ends.
    async fn attempt(&mut self) -> End {
        let version = locked(&self.record).version().map(str::to_owned);
        match version {
            Some(version) => self.resume(&version).await,
            None if self.listing.streaming && !self.listing.in_pages => self.stream().await,
            None => self.list().await.unwrap_or_else(|end| end),
        }
    }

    /// Notes why a request ended, and waits before the next one.
    async fn after(&mut self, end: End) {
        let kind = plural(self.watch.kind);
        let now = self.clock.now();
        self.freshness.ended(&end);
        let end = match end {
            End::Silent if self.trial => End::Doubt(Doubt::Silent, "two watches told nothing and did not end".into()),
            end => end,
        };
        match end {
            End::Closed | End::Listed => (),
            End::NoStreaming(why) => {
                tracing::debug!("the API server streams no lists of {kind}: {why}");
                self.listing.streaming = false;
            }
            End::Silent => {
                self.said.say("silent", || format!("the watch of {kind} has gone silent: it is opened anew"));
                self.trial = true;
            }
            End::Doubt(doubt, why) => {
                self.doubt(doubt, &why);
                sleep(self.after_doubt.next(now)).await;
            }
            End::Broken(why) => {
                tracing::debug!("the watch of {kind} broke off: {why}");
                sleep(self.after_refusal.next(now)).await;
            }
            End::Failed(failure) => self.failed(&failure).await,
        }
    }

    fn doubt(&mut self, doubt: Doubt, why: &str) {
        self.freshness.doubted(doubt);
        let line = || format!("{} are listed again: {why}", plural(self.watch.kind));
        match doubt {
            // Every restart of the API server leads here.
            Doubt::Expired | Doubt::Truncated => tracing::debug!("{}", line()),
            _ => self.said.say(doubt.label(), line),
        }
        self.trial = false;
        locked(&self.record).doubt();
    }

    async fn failed(&mut self, failure: &Failure) {
        self.api.outage().fails(plural(self.watch.kind), failure);
        let now = self.clock.now();
        let wait = match failure {
            Failure::Unreachable(_) => {
                // The next server may be another one.
                self.listing.streaming = true;
                self.away.next(now)
            }
            Failure::Status { code: 404, .. } => self.unknown.next(now),
            Failure::Status { retry_after, .. } => {
                self.after_refusal.next(now).max(retry_after.unwrap_or_default().min(LONGEST_WAIT))
            }
        };
        sleep(wait).await;
    }

    /// Lists and goes on watching in one request.
    async fn stream(&mut self) -> End {
        // Where this does not come to its end, pages may.
        self.listing.in_pages = true;
        let query = [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")];
        let api = self.api.clone();
        let under_way = api.inflight().await;
        let mut open = match self.open(&query, self.listing.time).await {
            Ok(open) => open,
            Err(Failure::Status { code: 400 | 404 | 406 | 415 | 422, message, .. }) => {
                return End::NoStreaming(message);
            }
            Err(failure) => return failure.into(),
        };
        self.begin_list();
        loop {
            // A server that knows nothing of streaming lists may take this for a watch, and never say that the list is complete.
            let event = timeout(self.watch.pace.stall / 5, self.next(&mut open.lines)).await;
            match event.unwrap_or_else(|_| Err(End::NoStreaming("the list does not go on".into()))) {
                Ok(Event::InitialEnd(version)) => {
                    drop(under_way);
                    self.listed(version);
                    return self.watch(open).await;
                }
                Ok(Event::Error { code: 410, message }) => return End::Doubt(Doubt::Expired, message),
                Ok(Event::Error { message, .. }) => return End::NoStreaming(message),
                Ok(_) => (),
                Err(End::Closed) => {
                    self.listing.time = (self.listing.time * 2).min(LONGEST_STREAM);
                    return End::Doubt(Doubt::Truncated, "the list ended before it was complete".into());
                }
                Err(End::Broken(why)) => return End::Doubt(Doubt::Truncated, why),
                Err(end) => return end,
            }
        }
    }

    /// Lists page by page.
    async fn list(&mut self) -> Result<End, End> {
        let api = self.api.clone();
        let _under_way = api.inflight().await;
        self.begin_list();
        let (mut next, limit) = (String::new(), self.watch.pace.page.to_string());
        loop {
            let mut query = vec![];
            if !self.listing.whole {
                query.push(("limit", &*limit));
            }
            if !next.is_empty() {
                query.push(("continue", &*next));
            }
            let body = match api.list(&self.watch.path(&query)).await {
                Ok(body) => body,
                Err(failure) => {
                    // Where pages come too slowly for the time that the server remembers, all has to come at once.
                    self.listing.whole = matches!(failure, Failure::Status { code: 410, .. }) && !next.is_empty();
                    return Err(failure.into());
                }
            };
            let version;
            (version, next) = self.page(body).await?;
            if next.is_empty() {
                self.listing.whole = false;
                self.listed(version);
                return Ok(End::Listed);
            }
        }
    }

    /// Applies a page; returns the version of the list, and what to ask the next page with.
    async fn page(&mut self, mut body: Body) -> Result<(String, String), End> {
        let undecodable = |e| End::Doubt(Doubt::Undecodable, format!("a list that is not understood: {e}"));
        let mut items = Items::default();
        let truncated = |why| End::Doubt(Doubt::Truncated, why);
        while let Some(data) = piece(&mut body, self.watch.pace.stall).await.map_err(truncated)? {
            self.freshness.read(data.len());
            self.apply(|target| target.items(&mut items, &data)).map_err(undecodable)?;
        }
        let metadata = apply::frame(&items).map_err(|e| match e.is_eof() {
            true => truncated("a list ended in the middle".into()),
            false => undecodable(e),
        })?;
        Ok((metadata.resource_version.to_string(), metadata.next.to_string()))
    }

    /// Goes on watching from `version`.
    async fn resume(&mut self, version: &str) -> End {
        let pace = &self.watch.pace;
        let asked = if self.trial { pace.trial } else { about(pace.watch) };
        let api = self.api.clone();
        let under_way = api.inflight().await;
        let opened = self.open(&[("resourceVersion", version)], asked).await;
        drop(under_way);
        match opened {
            Ok(open) => self.watch(open).await,
            // Nothing is wrong with the request but the version.
            Err(Failure::Status { code: 400 | 422, message, .. }) => End::Doubt(Doubt::Version, message),
            Err(failure) => failure.into(),
        }
    }

    /// Applies what a watch tells until it ends.
    async fn watch(&mut self, mut open: Open) -> End {
        let left = (open.asked + self.watch.pace.grace).saturating_sub(self.clock.now() - open.since);
        let mut overdue = pin!(sleep(left));
        loop {
            let event = tokio::select! {
                biased;
                event = self.next(&mut open.lines) => event,
                () = &mut overdue => return End::Silent,
            };
            let version = match event {
                Ok(Event::Applied(version) | Event::Bookmark(version) | Event::InitialEnd(version)) => version,
                Ok(Event::Unknown) => continue,
                Ok(Event::Error { code, message }) => return End::told(code, message),
                Err(End::Closed) if self.clock.now() - open.since < SHORT.min(open.asked / 2) => {
                    return End::Broken("it ended as soon as it had begun".into());
                }
                Err(end) => {
                    if matches!(end, End::Closed) {
                        // That it ends in its time tells that it was alive.
                        self.trial = false;
                        self.freshness.told(self.clock.unix());
                    }
                    return end;
                }
            };
            self.trial = false;
            if let Err(end) = self.goes_on(version) {
                return end;
            }
        }
    }

    /// Notes up to where everything has been told.
    fn goes_on(&self, version: String) -> Result<(), End> {
        let mut record = locked(&self.record);
        let before = record.version().unwrap_or_default();
        if is_before(&version, before) {
            return Err(End::Doubt(Doubt::Version, format!("version {version} was told after {before}")));
        }
        if !version.is_empty() {
            record.set_version(version);
        }
        Ok(())
    }

    /// Reads and applies the next event.
    async fn next(&self, lines: &mut Lines) -> Result<Event, End> {
        let line = lines.next().await.map_err(|none| match none {
            NoLine::End => End::Closed,
            NoLine::Broken(why) => End::Broken(why),
            NoLine::Cut(why) => End::Doubt(Doubt::Truncated, why),
        })?;
        self.freshness.read(line.len() + 1);
        self.freshness.told(self.clock.unix());
        let event = self.apply(|target| target.line(line));
        event.map_err(|e| End::Doubt(Doubt::Undecodable, format!("an event that is not understood: {e}")))
    }

    /// Opens a watch that is to go on for so long.
    async fn open(&self, query: &[(&str, &str)], asked: Duration) -> Result<Open, Failure> {
        let asked = asked.as_secs().max(1);
        let seconds = asked.to_string();
        let common = [("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", &seconds)];
        let body = self.api.watch(&self.watch.path(&[&common[..], query].concat())).await?;
        let now = self.clock.now();
        self.freshness.connected();
        self.api.outage().works(plural(self.watch.kind));
        Ok(Open { lines: Lines::new(body), since: now, asked: Duration::from_secs(asked) })
    }

    fn begin_list(&self) {
        self.writer().begin_list(self.watch.kind);
        locked(&self.record).begin_list();
    }

    /// The list is complete.
    fn listed(&mut self, version: String) {
        let now = self.clock.unix();
        let bytes = {
            let mut writer = self.writer();
            writer.end_list(self.watch.kind, now.as_secs() as u32);
            writer.bytes(self.watch.kind)
        };
        self.listing.in_pages = false;
        let mut record = locked(&self.record);
        record.end_list(version);
        self.freshness.listed(now, record.len(), bytes);
        drop(record);
        self.api.outage().works(plural(self.watch.kind));
    }

    fn apply<T>(&self, change: impl FnOnce(&mut Target<'_>) -> T) -> T {
        let (mut writer, mut record) = (self.writer(), locked(&self.record));
        let (kind, now) = (self.watch.kind, self.clock.unix());
        let done = change(&mut Target { kind, writer: &mut writer, record: &mut record, now });
        self.freshness.objects(record.len(), writer.bytes(kind));
        done
    }

    fn writer(&self) -> MutexGuard<'_, crate::index::Writer> {
        locked(&self.writer)
    }

    /// Nothing is read any more.
    pub fn stopped(&self) {
        self.freshness.lost();
    }
}

/// The longest that a streaming list may take.
const LONGEST_STREAM: Duration = Duration::from_secs(3600);
/// A watch that ends sooner than this has failed.
const SHORT: Duration = Duration::from_secs(1);
/// What goes wrong again and again is listed once in this time; a list and a watch are two requests.
const LIST_CAP: Duration = Duration::from_millis(2500);
/// A server that answers with errors is asked once in this time.
const REFUSED_CAP: Duration = Duration::from_secs(1);
/// A server that does not know this kind of objects is asked once in this time: custom resources may be installed later.
const UNKNOWN_CAP: Duration = Duration::from_secs(15);
/// A server that cannot be reached is tried once in this time.
const AWAY_CAP: Duration = Duration::from_millis(500);
