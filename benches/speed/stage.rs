//! What servers find around them: a cluster behind an API server, an upstream, questions in files.

use crate::works::{ENDPOINTS, Work};
use crate::{datagrams, objects, questions::Question, zone};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tempfile::TempDir;
use testkit::Api;
use tokio::runtime::Runtime;

/// What is there for all kinds of load.
pub struct Surroundings {
    runtime: Runtime,
    upstream: SocketAddr,
    clusters: BTreeMap<usize, Rc<Cluster>>,
}

/// A cluster, for those who follow it and for those who read a zone.
struct Cluster {
    api: Api,
    zone: PathBuf,
    _folder: TempDir,
}

impl Surroundings {
    /// Starts the upstream.
    pub fn new() -> Surroundings {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Surroundings {
            runtime: runtime.expect("a runtime"),
            upstream: datagrams::upstream().expect("a port for the upstream"),
            clusters: BTreeMap::new(),
        }
    }

    /// What one kind of load needs, for so many seconds.
    pub fn stage(&mut self, work: &Work, seconds: u64) -> Stage {
        let runtime = &self.runtime;
        let cluster =
            self.clusters.entry(work.services).or_insert_with(|| Rc::new(Cluster::new(runtime, work.services)));
        let (warm, measured) = work.questions(seconds);
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(WARM), lines(&warm)).expect("a file");
        fs::write(folder.path().join(MEASURED), lines(&measured)).expect("a file");
        Stage { cluster: cluster.clone(), upstream: self.upstream, folder, questions: measured }
    }
}

impl Cluster {
    fn new(runtime: &Runtime, services: usize) -> Cluster {
        let objects = objects::cluster(services, ENDPOINTS, 0);
        let folder = tempfile::tempdir().expect("a folder");
        let zone = folder.path().join("cluster.local");
        fs::write(&zone, zone::cluster(&objects)).expect("a file");
        let api = runtime.block_on(Api::start(objects)).expect("an API server");
        Cluster { api, zone, _folder: folder }
    }
}

/// What one kind of load needs.
pub struct Stage {
    cluster: Rc<Cluster>,
    upstream: SocketAddr,
    folder: TempDir,
    questions: Vec<Question>,
}

impl Stage {
    /// A kubeconfig that leads to the API server.
    pub fn kubeconfig(&self) -> String {
        self.cluster.api.kubeconfig()
    }

    /// The file with the cluster's names as a zone.
    pub fn zone(&self) -> &Path {
        &self.cluster.zone
    }

    /// Where all names outside of the cluster are known.
    pub fn upstream(&self) -> SocketAddr {
        self.upstream
    }

    /// The file with questions to warm up, a `NAME TYPE` a line.
    pub fn warm(&self) -> PathBuf {
        self.folder.path().join(WARM)
    }

    /// The file with the questions of [`Stage::questions`].
    pub fn measured(&self) -> PathBuf {
        self.folder.path().join(MEASURED)
    }

    /// What is asked when it is measured.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }
}

fn lines(questions: &[Question]) -> String {
    questions.iter().fold(String::new(), |mut text, question| {
        writeln!(text, "{} {}", question.name, question.rtype).expect("a string takes all");
        text
    })
}

const WARM: &str = "warm";
const MEASURED: &str = "measured";
