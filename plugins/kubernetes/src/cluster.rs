//! The cluster: its index, and the background work that follows what changes. It outlives a reload.

use crate::connect::{Api, Limits, Place};
use crate::index::{Index, KeptLabels, Kind, Options};
use crate::manifests::Manifests;
use crate::selector::Selector;
use crate::snapshot::Snapshot;
use crate::watch::{self, Pace, SharedWriter, Watch};
use api::Clock;
use api::task::{Stop, Tasks};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Everything that decides what the index holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Where the cluster is read from.
    pub source: Source,
    /// `labels`: which services, slices and pods count.
    pub labels: Selector,
    /// `namespace_labels`: which namespaces count.
    pub namespace_labels: Selector,
    /// The kinds of objects that are needed.
    pub kinds: Vec<Kind>,
    /// How they are read.
    pub options: Options,
    /// Labels of pods that somebody asks for (`kubernetes/client-label/KEY`).
    pub kept_labels: KeptLabels,
    /// `snapshot`: where what is known is kept for a start without the API server.
    pub snapshot: Option<PathBuf>,
}

/// Where a cluster is read from.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    /// An API server.
    Api {
        /// Where it is.
        place: Place,
        /// `apiserver_qps`, requests a second; 0 is no limit.
        qps: f64,
        /// `apiserver_burst`.
        burst: u32,
        /// `apiserver_max_inflight`; 0 is no limit.
        inflight: u32,
        /// `resync`; zero is never.
        resync: Duration,
    },
    /// Files and folders.
    Manifests(Vec<PathBuf>),
}

/// A cluster that is followed.
#[derive(Clone)]
pub struct Cluster {
    /// What is known of it.
    pub index: Arc<Index>,
    /// What is known of the services that other clusters export to it; `None` where nobody asks.
    pub imports: Option<Arc<Index>>,
}

/// What fills the indices of a cluster.
#[derive(Clone)]
pub struct Writers {
    /// That of the cluster itself.
    pub own: SharedWriter,
    /// That of what is imported.
    pub imports: Option<SharedWriter>,
}

impl Cluster {
    /// Begins to follow a cluster, in `tasks`.
    ///
    /// # Errors
    /// What is needed to connect is missing, or a path cannot be read.
    pub fn follow(config: &Config, clock: Clock, tasks: &mut Tasks) -> Result<Cluster, String> {
        let (cluster, writers) = Cluster::empty(config);
        if let Some(path) = &config.snapshot {
            Snapshot::new(path.clone(), config).begin(&cluster, &writers, &clock, tasks);
        }
        match &config.source {
            Source::Manifests(paths) => {
                let manifests = config.manifests(paths);
                manifests.check()?;
                tasks.add("kubernetes", "manifests", move |stop| async move {
                    manifests.follow(writers, clock, stop).await;
                    Ok(())
                });
            }
            Source::Api { place, qps, burst, inflight, resync } => {
                let (place, connection) = (place.clone(), place.config()?);
                let limits = Limits::new(*qps, *burst, *inflight, clock.clone());
                let watches = config.watches(Pace::new(*resync));
                tasks.add("kubernetes", "watches", move |stop| async move {
                    match Api::new(connection, place, limits, clock.clone()) {
                        Ok(api) => follow_all(watches, Arc::new(api), writers, clock, stop).await,
                        Err(e) => tracing::error!("cannot connect to the Kubernetes API: {e}"),
                    }
                    Ok(())
                });
            }
        }
        Ok(cluster)
    }

    /// A cluster of which nothing is known yet.
    pub fn empty(config: &Config) -> (Cluster, Writers) {
        let (imported, own): (Vec<Kind>, Vec<Kind>) = config.kinds.iter().partition(|kind| kind.is_imported());
        let (index, mut writer) = Index::new(&own, config.options);
        writer.keep_labels(config.kept_labels.clone());
        let imports = (!imported.is_empty())
            .then(|| Index::of_imports(index.clone(), &imported, Options { external: false, ..config.options }));
        let (imports, import_writer) = imports.unzip();
        let shared = |writer| Arc::new(Mutex::new(writer));
        (Cluster { index, imports }, Writers { own: shared(writer), imports: import_writer.map(shared) })
    }

    /// Whether it is whole: everything has been listed once, or is as a snapshot has it.
    pub fn synced(&self) -> bool {
        self.index.synced() && self.imports.as_ref().is_none_or(|imports| imports.synced())
    }

    /// Whether everything has been listed once.
    pub fn listed(&self) -> bool {
        self.index.listed() && self.imports.as_ref().is_none_or(|imports| imports.listed())
    }

    /// A number that is another one when something has changed.
    pub fn revision(&self) -> u64 {
        self.index.revision() + self.imports.as_ref().map_or(0, |imports| imports.revision())
    }
}

impl Writers {
    /// What fills the index that objects of `kind` stand in.
    pub fn of(&self, kind: Kind) -> Option<&SharedWriter> {
        if kind.is_imported() { self.imports.as_ref() } else { Some(&self.own) }
    }
}

impl Config {
    /// Whether the cluster is the one that the server is to be a pod of.
    pub fn is_in_cluster(&self) -> bool {
        matches!(&self.source, Source::Api { place: Place::InCluster, .. })
    }

    fn manifests(&self, paths: &[PathBuf]) -> Manifests {
        Manifests { paths: paths.to_vec(), config: self.clone() }
    }

    fn watches(&self, pace: Pace) -> Vec<Watch> {
        self.kinds.iter().map(|&kind| Watch { kind, labels: self.selector(kind).text().to_owned(), pace }).collect()
    }

    /// The API server that a file names, beside the Corefile, or why it names none.
    pub fn named(&self) -> Option<Result<String, String>> {
        match &self.source {
            Source::Api { place, .. } => place.named(),
            Source::Manifests(_) => None,
        }
    }

    /// Which objects of a kind count (spec 10.2).
    pub fn selector(&self, kind: Kind) -> &Selector {
        match kind {
            // Imports by the labels of namespaces: so CoreDNS has it.
            Kind::Namespace | Kind::ServiceImport => &self.namespace_labels,
            Kind::Service | Kind::EndpointSlice | Kind::Pod | Kind::ImportedSlice => &self.labels,
        }
    }
}

/// Follows each kind by itself, at the same time.
async fn follow_all(watches: Vec<Watch>, api: Arc<Api>, writers: Writers, clock: Clock, stop: Stop) {
    let mut watches = watches.into_iter();
    let mut next = || {
        let (api, clock, stop) = (api.clone(), clock.clone(), stop.clone());
        let next = watches.next().and_then(|watch| Some((writers.of(watch.kind)?.clone(), watch)));
        async move {
            if let Some((writer, watch)) = next {
                watch::follow(watch, api, writer, clock, stop).await;
            }
        }
    };
    tokio::join!(next(), next(), next(), next(), next(), next());
}

/// Waits until the index is whole, but not longer than `limit`; what there is then is the error.
pub async fn synced(cluster: Arc<Cluster>, limit: Duration) -> Result<(), String> {
    let wait = async {
        for round in 1u32.. {
            if cluster.listed() || round > SNAPSHOT && cluster.synced() {
                return;
            }
            tokio::time::sleep(LOOK).await;
            if round.is_multiple_of(REMIND) {
                tracing::info!("waiting for Kubernetes API before starting server");
            }
        }
    };
    tokio::time::timeout(limit, wait).await.map_err(|_| "unsynced Kubernetes API".to_owned())
}

/// Between two looks at whether the index is whole.
const LOOK: Duration = Duration::from_millis(10);
/// So many looks, 1 s, the API server has to be read before a snapshot is served in its place.
const SNAPSHOT: u32 = 100;
/// So many looks, 0.5 s, are between two reminders in the log.
const REMIND: u32 = 50;
