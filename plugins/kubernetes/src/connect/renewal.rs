//! Tokens that rotate, certificates that are renewed: files that are read again when they change.

use super::Place;
use kube::Config;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The files that a connection is made with.
pub struct Files {
    paths: Vec<PathBuf>,
    hasher: RandomState,
    /// A fingerprint of what was in them, and when they were looked at.
    seen: u64,
    looked: Instant,
}

impl Files {
    /// Those that `config`, made of `place`, was read from.
    pub fn new(place: &Place, config: &Config, now: Instant) -> Files {
        let mut files = Files { paths: paths(place, config), hasher: RandomState::new(), seen: 0, looked: now };
        files.seen = files.fingerprint();
        files
    }

    /// Whether one of them has changed since the last look; looks at most once in a second.
    pub fn changed(&mut self, now: Instant) -> bool {
        if now - self.looked < LOOK {
            return false;
        }
        self.looked = now;
        let seen = self.fingerprint();
        std::mem::replace(&mut self.seen, seen) != seen
    }

    /// What is in them could not be used: the next look finds them changed.
    pub fn forget(&mut self) {
        self.seen = !self.seen;
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for path in &self.paths {
            // A file that is not there for a moment is one that changes twice.
            let content = std::fs::read(path).unwrap_or_default();
            hasher.write_usize(content.len());
            hasher.write(&content);
        }
        hasher.finish()
    }
}

fn paths(place: &Place, config: &Config) -> Vec<PathBuf> {
    let user = &config.auth_info;
    let files = [&user.token_file, &user.client_certificate, &user.client_key];
    let mut paths: Vec<PathBuf> = files.into_iter().flatten().map(PathBuf::from).collect();
    paths.extend(config.root_cert_file.clone());
    if let Place::Kubeconfig { file, .. } = place {
        paths.push(file.into());
        paths.extend(authority_of(Path::new(file)));
    }
    paths
}

/// The files of authorities that a kubeconfig names, which are read into the configuration at once.
fn authority_of(file: &Path) -> Vec<PathBuf> {
    let read = kube::config::Kubeconfig::read_from(file).unwrap_or_default();
    let clusters = read.clusters.into_iter().filter_map(|c| c.cluster);
    clusters.filter_map(|c| c.certificate_authority).map(PathBuf::from).collect()
}

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);
