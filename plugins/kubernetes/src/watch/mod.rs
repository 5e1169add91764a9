//! What the API server holds of one kind of objects, followed for as long as the server runs, and never silently stale.
//!
//! [`follower`] lists and watches. A list and the watch that follows it are one request where the API server knows streaming
//! lists (KEP-3157); else the list comes page by page. A watch is asked for half a minute or so: that it ends in its time, after
//! a bookmark, shows that it was alive, and the next one goes on from the last version told. One that does neither is given
//! up, and tried once more. Where anything casts doubt on what was read ([`end::Doubt`]), the kind is listed again; what the
//! index holds stays in place until the new list is complete.
//!
//! What a watch leaves out cannot be seen in it. [`audit`] asks the API server, beside the watch, how many objects there are,
//! and now and then for all names and versions, and compares that with the [`known`] ones.

mod apply;
mod audit;
mod backoff;
mod end;
mod follower;
mod items;
mod known;
mod lines;
mod pace;

#[cfg(test)]
mod tests;

use crate::connect::Api;
use crate::index::{Kind, Writer};
use crate::metrics::Checks;
use api::Clock;
use api::task::Stop;
pub use apply::{Status, Target, frame};
use audit::Audit;
pub use end::{Doubt, End};
use follower::Follower;
pub use items::Items;
pub use known::Record;
pub use lines::whole;
pub use pace::{Pace, RESYNC};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What is to be watched.
#[derive(Clone)]
pub struct Watch {
    /// The kind of object.
    pub kind: Kind,
    /// Label selector, as written in the Corefile; empty for everything.
    pub labels: String,
    /// How often what is done.
    pub pace: Pace,
}

/// The one writer of an index, shared by the watches of all kinds; never locked by a query.
pub type SharedWriter = Arc<Mutex<Writer>>;
/// The record of one kind, shared by what follows it and what audits that.
type SharedRecord = Arc<Mutex<Record>>;

/// Keeps `writer` equal to what the API holds of one kind, until told to stop.
pub async fn follow(watch: Watch, api: Arc<Api>, writer: SharedWriter, clock: Clock, mut stop: Stop) {
    let record = SharedRecord::default();
    let (doubts, told) = mpsc::channel(1);
    let checks = Checks::new(api.host(), plural(watch.kind));
    let audit = Audit { watch: watch.clone(), api: api.clone(), record: record.clone(), doubts, checks };
    let mut follower = Follower::new(watch, api, writer, record, clock);
    stop.or(async { tokio::join!(follower.run(told), audit.run()) }).await;
    follower.stopped();
}

impl Watch {
    /// The path and query of requests for these objects.
    fn path(&self, query: &[(&str, &str)]) -> String {
        let path = collection(self.kind) + "?";
        let query_start = path.len();
        let mut out = form_urlencoded::Serializer::for_suffix(path, query_start);
        out.extend_pairs(query);
        let mut labels = vec![&*self.labels];
        labels.extend((self.kind == Kind::ImportedSlice).then_some(IMPORTED));
        labels.retain(|labels| !labels.is_empty());
        if !labels.is_empty() {
            out.append_pair("labelSelector", &labels.join(","));
        }
        if self.kind == Kind::Pod {
            out.append_pair("fieldSelector", LIVE_PODS);
        }
        out.finish()
    }
}

/// The path of all objects of a kind, over all namespaces.
fn collection(kind: Kind) -> String {
    use k8s_openapi::api::{core::v1, discovery::v1 as discovery};
    use kube::Resource;
    match kind {
        Kind::Service => v1::Service::url_path(&(), None),
        Kind::EndpointSlice | Kind::ImportedSlice => discovery::EndpointSlice::url_path(&(), None),
        Kind::Namespace => v1::Namespace::url_path(&(), None),
        Kind::Pod => v1::Pod::url_path(&(), None),
        Kind::ServiceImport => "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports".into(),
    }
}

/// The name of a kind in metrics and in the log: that of the API's paths, but where one of these is read twice.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "services",
        Kind::EndpointSlice => "endpointslices",
        Kind::Namespace => "namespaces",
        Kind::Pod => "pods",
        Kind::ServiceImport => "serviceimports",
        Kind::ImportedSlice => "importedendpointslices",
    }
}

/// What happens again and again is a warning once a minute, and else a line for those who debug.
struct Said {
    clock: Clock,
    last: Vec<(&'static str, Instant)>,
}

impl Said {
    fn new(clock: Clock) -> Said {
        Said { clock, last: Vec::new() }
    }

    fn say(&mut self, what: &'static str, line: impl FnOnce() -> String) {
        let now = self.clock.now();
        self.last.retain(|(_, at)| now - *at < AGAIN);
        if self.last.iter().any(|(said, _)| *said == what) {
            return tracing::debug!("{}", line());
        }
        tracing::warn!("{}", line());
        self.last.push((what, now));
    }
}

/// Neither index nor record is left half changed where something panics: each value in them is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A label that every imported slice has.
const IMPORTED: &str = "multicluster.kubernetes.io/service-name";
/// Pods that have ended have no name any more (spec 10.2).
const LIVE_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown";
/// Between two warnings of the same kind.
const AGAIN: Duration = Duration::from_secs(60);
