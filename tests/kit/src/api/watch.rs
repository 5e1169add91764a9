//! A watch: a stream of lines that goes on until its time is over, its client leaves or a fault ends it.

use super::Shared;
use super::http::{Body, failure, respond, whole};
use super::select::Selection;
use super::store::{Change, Event, KINDS, Key, Store};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// What a client asks for.
pub(super) struct Opening {
    /// The place in [`KINDS`].
    pub(super) kind: usize,
    pub(super) selection: Selection,
    /// The version to go on from; 0 for the present state.
    pub(super) version: u64,
    /// A streaming list: the present state, a bookmark that ends it, then what happens.
    pub(super) initial: bool,
    pub(super) bookmarks: bool,
    pub(super) seconds: u64,
}

/// Opens a watch.
pub(super) async fn open(shared: &Arc<Shared>, opening: Opening) -> Response<Body> {
    let faults = shared.faults().clone();
    if opening.initial && !faults.streaming {
        let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return failure(422, "Invalid", why, None);
    }
    if opening.initial {
        tokio::time::sleep(faults.page_delay()).await;
        if shared.faults().take(|f| &mut f.garbage_list) {
            return whole(StatusCode::OK, Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{\0\xff}}\n"));
        }
    }
    let watch = Watch::new(shared, opening, faults.gone);
    let lines = stream::unfold(watch, |mut watch| async {
        let line = watch.next().await?;
        Some((line.map(Frame::data), watch))
    });
    respond(StatusCode::OK, StreamBody::new(lines).boxed_unsync())
}

struct Watch {
    shared: Arc<Shared>,
    opening: Opening,
    events: UnboundedReceiver<Event>,
    /// What is to be said before events are waited for.
    waiting: VecDeque<Bytes>,
    /// What the client knows of; a change of anything else is new to it.
    known: HashSet<Key>,
    /// Events up to this version are known to the client; those after a restored backup are not told.
    seen: u64,
    born: Instant,
    mark: Instant,
    /// Nothing follows what is waiting: cut the connection, or end in peace.
    over: Option<Over>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Cut,
    Ended,
}

impl Watch {
    fn new(shared: &Arc<Shared>, opening: Opening, gone: bool) -> Self {
        let mut store = shared.store();
        let events = store.listen(opening.kind);
        let now = Instant::now();
        let old = opening.version != 0 && opening.version < store.compacted && !opening.initial;
        let mut watch = Self {
            shared: shared.clone(),
            events,
            waiting: VecDeque::new(),
            known: HashSet::new(),
            seen: store.version.max(opening.version),
            born: now,
            mark: now,
            over: None,
            opening,
        };
        if old || gone {
            watch.waiting.push_back(expired());
            watch.over = Some(Over::Ended);
        } else if watch.opening.initial || watch.opening.version == 0 {
            watch.say_all(&store);
        } else {
            watch.catch_up(&store);
        }
        watch
    }

    /// The present state.
    fn say_all(&mut self, store: &Store) {
        for stored in store.objects(self.opening.kind).iter().filter(|s| self.opening.selection.has(&s.object)) {
            self.waiting.push_back(line("ADDED", &stored.text));
            self.known.insert(stored.key.clone());
        }
        if self.opening.initial {
            let end = json!({"k8s.io/initial-events-end": "true"});
            self.waiting.push_back(self.bookmark(store.version, Some(end)));
        }
    }

    /// What happened since the client's version.
    fn catch_up(&mut self, store: &Store) {
        let kind = self.opening.kind;
        let selected = store.objects(kind).iter().filter(|s| self.opening.selection.has(&s.object));
        self.known = selected.map(|s| s.key.clone()).collect();
        for event in store.log(kind).iter().filter(|e| e.version > self.opening.version) {
            if self.opening.selection.has(&event.stored.object) || self.known.contains(&event.stored.key) {
                self.waiting.push_back(line(event.change.word(), &event.stored.text));
            }
        }
    }

    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                return Some(Ok(line));
            }
            match self.over {
                Some(Over::Ended) => return None,
                Some(Over::Cut) => return Some(Err(io::ErrorKind::ConnectionAborted.into())),
                None => {}
            }
            let left = Duration::from_secs(self.opening.seconds).saturating_sub(self.born.elapsed());
            if left.is_zero() && !self.frozen() {
                return None;
            }
            match tokio::time::timeout(left.clamp(SOON, TICK), self.events.recv()).await {
                Ok(Some(event)) => self.event(event).await,
                Ok(None) => return None,
                Err(_) => self.tick(),
            }
        }
    }

    async fn event(&mut self, event: Event) {
        if event.version <= self.seen {
            return;
        }
        self.seen = event.version;
        while self.frozen() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let Some(said) = self.told(&event) else { return };
        if self.shared.faults().take(|f| &mut f.garbage) {
            self.waiting
                .push_back(Bytes::from_static(b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\xff\0 not json}}\n"));
        }
        if self.shared.faults().take(|f| &mut f.truncate) {
            self.waiting.push_back(said.slice(..event.stored.text.len() / 2));
            self.over = Some(Over::Cut);
            return;
        }
        self.waiting.push_back(said);
        if self.shared.faults().take(|f| &mut f.gone_midway) {
            self.waiting.push_back(expired());
            self.over = Some(Over::Ended);
        }
    }

    /// The line that this client gets for an event: what enters its selection is new to it, what leaves is gone.
    fn told(&mut self, event: &Event) -> Option<Bytes> {
        let Event { change, stored, .. } = event;
        let known = self.known.contains(&stored.key);
        let word = match (self.opening.selection.has(&stored.object), known) {
            (true, true) => change.word(),
            (true, false) => "ADDED",
            (false, true) => "DELETED",
            (false, false) => return None,
        };
        if *change == Change::Deleted || word == "DELETED" {
            self.known.remove(&stored.key);
        } else {
            self.known.insert(stored.key.clone());
        }
        Some(line(word, &stored.text))
    }

    /// Nothing happened for a while: perhaps a bookmark.
    fn tick(&mut self) {
        let wanted = self.opening.bookmarks && self.shared.faults().bookmarks;
        let version = self.shared.store().version;
        // A client that is ahead of the server hears nothing.
        if wanted && self.mark.elapsed() > BOOKMARKS && !self.frozen() && version >= self.seen {
            let bookmark = self.bookmark(version, None);
            self.waiting.push_back(bookmark);
            self.mark = Instant::now();
        }
    }

    fn frozen(&self) -> bool {
        self.shared.faults().frozen(self.born)
    }

    fn bookmark(&self, version: u64, annotations: Option<Value>) -> Bytes {
        let kind = &KINDS[self.opening.kind];
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let Some(annotations) = annotations {
            metadata["annotations"] = annotations;
        }
        let object = json!({"kind": kind.name, "apiVersion": kind.version, "metadata": metadata});
        line("BOOKMARK", object.to_string().as_bytes())
    }
}

fn line(word: &str, object: &[u8]) -> Bytes {
    [b"{\"type\":\"", word.as_bytes(), b"\",\"object\":", object, b"}\n"].concat().into()
}

fn expired() -> Bytes {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410});
    line("ERROR", status.to_string().as_bytes())
}

/// The shortest that a watch waits.
const SOON: Duration = Duration::from_millis(10);
/// How often a silent watch looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// Silence before a bookmark.
const BOOKMARKS: Duration = Duration::from_secs(5);
