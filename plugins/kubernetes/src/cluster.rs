//! The cluster: its index, and the background work that follows what changes. It outlives a reload.

use crate::connect::{Api, Limits, Place};
use crate::index::{Index, KeptLabels, Kind, Options};
use crate::manifests::Manifests;
use crate::selector::Selector;
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
    /// `endpoint_pod_names`: an endpoint without host name is called like its pod.
    pub pod_names: bool,
    /// Labels of pods that somebody asks for (`kubernetes/client-label/KEY`).
    pub kept_labels: KeptLabels,
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
pub struct Cluster {
    /// What is known of it.
    pub index: Arc<Index>,
}

impl Cluster {
    /// Begins to follow a cluster, in `tasks`.
    ///
    /// # Errors
    /// What is needed to connect is missing, or a path cannot be read.
    pub fn follow(config: &Config, clock: Clock, tasks: &mut Tasks) -> Result<Cluster, String> {
        let (index, mut writer) = Index::new(&config.kinds, Options { pod_names: config.pod_names });
        writer.keep_labels(config.kept_labels.clone());
        let writer = Arc::new(Mutex::new(writer));
        match &config.source {
            Source::Manifests(paths) => {
                let manifests = config.manifests(paths);
                manifests.check()?;
                tasks.add("kubernetes", "manifests", move |stop| async move {
                    manifests.follow(writer, clock, stop).await;
                    Ok(())
                });
            }
            Source::Api { place, qps, burst, inflight, resync } => {
                let (place, connection) = (place.clone(), place.config()?);
                let limits = Limits::new(*qps, *burst, *inflight, clock.clone());
                let watches = config.watches(Pace::new(*resync));
                tasks.add("kubernetes", "watches", move |stop| async move {
                    match Api::new(connection, place, limits, clock.clone()) {
                        Ok(api) => follow_all(watches, Arc::new(api), writer, clock, stop).await,
                        Err(e) => tracing::error!("cannot connect to the Kubernetes API: {e}"),
                    }
                    Ok(())
                });
            }
        }
        Ok(Cluster { index })
    }
}

impl Config {
    fn manifests(&self, paths: &[PathBuf]) -> Manifests {
        Manifests {
            paths: paths.to_vec(),
            labels: self.labels.clone(),
            namespace_labels: self.namespace_labels.clone(),
            kinds: self.kinds.clone(),
        }
    }

    fn watches(&self, pace: Pace) -> Vec<Watch> {
        let selector = |kind| if kind == Kind::Namespace { &self.namespace_labels } else { &self.labels };
        self.kinds.iter().map(|&kind| Watch { kind, labels: selector(kind).text().to_owned(), pace }).collect()
    }
}

/// Follows each kind by itself, at the same time.
async fn follow_all(watches: Vec<Watch>, api: Arc<Api>, writer: SharedWriter, clock: Clock, stop: Stop) {
    let mut watches = watches.into_iter();
    let mut next = || {
        let (api, writer, clock, stop) = (api.clone(), writer.clone(), clock.clone(), stop.clone());
        let watch = watches.next();
        async move {
            if let Some(watch) = watch {
                watch::follow(watch, api, writer, clock, stop).await;
            }
        }
    };
    tokio::join!(next(), next(), next(), next());
}

/// Waits until the index is whole, but not longer than `limit`.
pub async fn synced(cluster: Arc<Cluster>, limit: Duration) {
    let wait = async {
        for round in 1u32.. {
            if cluster.index.synced() {
                return;
            }
            tokio::time::sleep(LOOK).await;
            if round.is_multiple_of(REMIND) {
                tracing::info!("waiting for Kubernetes API before starting server");
            }
        }
    };
    if tokio::time::timeout(limit, wait).await.is_err() {
        tracing::warn!("starting server with unsynced Kubernetes API");
    }
}

/// Between two looks at whether the index is whole.
const LOOK: Duration = Duration::from_millis(10);
/// So many looks, 0.5 s, are between two reminders in the log.
const REMIND: u32 = 50;
