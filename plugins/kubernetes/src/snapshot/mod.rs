//! `snapshot PATH`: what is known of the cluster in a file, for a start while the API server is away.
//!
//! The file is a manifest of many documents, one line each: whoever wants to see what this server knew can read it, and
//! serve it with `manifests`. It is written beside its place and moved there when it is complete; its last line has the
//! checksum of all others, so that a file that was cut off or changed is not read.

mod dump;
#[cfg(test)]
mod tests;

use crate::cluster::{Cluster, Config, Writers};
use crate::index::Kind;
use crate::metrics;
use crate::objects::Metadata;
use crate::watch::{Record, Target};
use api::presentation::hex;
use api::task::{Stop, Tasks};
use api::{Clock, os_words};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

/// A file and what must be the same for it to be of use.
#[derive(Clone, Debug)]
pub struct Snapshot {
    path: PathBuf,
    /// A hash of all that decides what the index holds.
    config: String,
}

/// What a file held.
#[derive(Debug, PartialEq, Eq)]
pub struct Restored {
    /// Objects.
    pub objects: u64,
    /// When it was written, since 1970.
    pub written: Duration,
}

impl Snapshot {
    /// The snapshot at `path` of a cluster that is read as `config` says.
    pub fn new(path: PathBuf, config: &Config) -> Snapshot {
        let config = Config { snapshot: None, ..config.clone() };
        Snapshot { path, config: hex(&Sha256::digest(format!("{config:?}"))) }
    }

    /// Reads the file, and begins to keep it, in `tasks`.
    pub fn begin(self, cluster: &Cluster, writers: &Writers, clock: &Clock, tasks: &mut Tasks) {
        let path = self.path.display();
        match self.restore(writers) {
            Ok(None) => (),
            Ok(Some(Restored { objects, written })) => {
                let age = clock.unix().saturating_sub(written).as_secs();
                tracing::info!(
                    "the snapshot {path}, {age} s old, holds {objects} objects; it counts until the API server is read"
                );
                metrics::SNAPSHOT_WRITTEN.with(&[]).set(written.as_secs_f64());
                metrics::SNAPSHOT_SERVED.with(&[]).set(1.0);
            }
            Err(e) => {
                metrics::SNAPSHOT_FAILURES.with(&[]).inc();
                tracing::error!("the snapshot {path} is ignored: it {e}");
            }
        }
        let (cluster, clock) = (cluster.clone(), clock.clone());
        tasks.add("kubernetes", "snapshot", move |stop| async move {
            self.keep(cluster, clock, stop).await;
            Ok(())
        });
    }

    /// Reads the file into indices that are empty.
    ///
    /// # Errors
    /// In words: it is broken, or of another cluster; then nothing is in them. `Ok(None)`: there is none yet.
    pub fn restore(&self, writers: &Writers) -> Result<Option<Restored>, String> {
        let file = match File::open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| os_words(&e))?,
        };
        let restored = self.check(&file)?;
        let file = File::open(&self.path).map_err(|e| os_words(&e))?;
        let mut record = Record::default();
        for line in lines(&file).filter_map(Result::ok).filter(|line| line.starts_with('{')) {
            let Some(kind) = kind_of(&line) else { continue };
            let Some(writer) = writers.of(kind) else { continue };
            let writer = &mut writer.lock().unwrap_or_else(PoisonError::into_inner);
            let mut target = Target { kind, writer, record: &mut record, now: restored.written };
            target.object(&line).map_err(|e| e.to_string())?;
        }
        for writer in [Some(&writers.own), writers.imports.as_ref()].into_iter().flatten() {
            writer.lock().unwrap_or_else(PoisonError::into_inner).restored();
        }
        Ok(Some(restored))
    }

    /// Reads the whole file once: only then is it known that it is complete.
    fn check(&self, file: &File) -> Result<Restored, String> {
        let mut lines = lines(file);
        let (mut digest, mut objects, mut end) = (Sha256::new(), 0, None);
        let first = lines.next().ok_or("is empty")?.map_err(|e| os_words(&e))?;
        let written = self.header(&first)?;
        digest.update(first.as_bytes());
        for line in lines {
            let line = line.map_err(|e| os_words(&e))?;
            if end.is_some() {
                return Err("goes on behind its end".into());
            }
            if let Some(sum) = line.strip_prefix(END) {
                end = Some(sum == hex(&digest.clone().finalize()));
                continue;
            }
            objects += u64::from(line.starts_with('{'));
            digest.update(line.as_bytes());
        }
        match end {
            Some(true) => Ok(Restored { objects, written }),
            Some(false) => Err("does not have the checksum that it says".into()),
            None => Err("is cut off".into()),
        }
    }

    /// When a file with this first line was written.
    fn header(&self, line: &str) -> Result<Duration, String> {
        let rest = line.strip_prefix(HEADER).ok_or("is no snapshot of this version")?;
        let (seconds, config) = rest.split_once(' ').ok_or("is no snapshot")?;
        if config != self.config {
            return Err("is of another cluster, or was written with other properties".into());
        }
        seconds.parse().map(Duration::from_secs).map_err(|_| "has no time".to_owned())
    }

    /// Writes what is known whenever it has changed, not too often, and once more at the end.
    pub async fn keep(self, cluster: Cluster, clock: Clock, mut stop: Stop) {
        let mut written = None;
        loop {
            let stopped = stop.or(tokio::time::sleep(LOOK)).await.is_none();
            let state = cluster.revision();
            if cluster.listed() {
                metrics::SNAPSHOT_SERVED.with(&[]).set(0.0);
            }
            if cluster.listed()
                && written.is_none_or(|(revision, at)| revision != state && (stopped || clock.now() - at >= PAUSE))
            {
                written = Some((state, clock.now()));
                match self.write(&cluster, clock.unix()).await {
                    Ok(()) => metrics::SNAPSHOT_WRITTEN.with(&[]).set(clock.unix().as_secs_f64()),
                    Err(e) => {
                        metrics::SNAPSHOT_FAILURES.with(&[]).inc();
                        tracing::error!("cannot write the snapshot {}: {}", self.path.display(), os_words(&e));
                    }
                }
            }
            if stopped {
                return;
            }
        }
    }

    /// Writes the file: whole, or not at all. Lets other work go on in between.
    async fn write(&self, cluster: &Cluster, now: Duration) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let outcome = self.write_to(&beside, cluster, now).await.and_then(|()| fs::rename(&beside, &self.path));
        if outcome.is_err() {
            // There may be nothing to remove.
            let _ = fs::remove_file(&beside);
        }
        outcome
    }

    async fn write_to(&self, path: &Path, cluster: &Cluster, now: Duration) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut out = Summed { out: BufWriter::new(file), digest: Sha256::new() };
        out.line(&format!("{HEADER}{} {}", now.as_secs(), self.config))?;
        let mut count = 0u32;
        for object in dump::objects(cluster) {
            out.line("---")?;
            out.line(&object.to_string())?;
            count = count.wrapping_add(1);
            if count.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
        let sum = hex(&out.digest.finalize());
        writeln!(out.out, "{END}{sum}")?;
        out.out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// The kind of an object that was dumped: a slice is an imported one if it says of what.
fn kind_of(line: &str) -> Option<Kind> {
    #[derive(serde::Deserialize)]
    struct Object<'a> {
        kind: &'a str,
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    let Object { kind, metadata } = serde_json::from_str(line).ok()?;
    match kind {
        "Service" => Some(Kind::Service),
        "ServiceImport" => Some(Kind::ServiceImport),
        "EndpointSlice" if metadata.labels.imported_service.is_empty() => Some(Kind::EndpointSlice),
        "EndpointSlice" => Some(Kind::ImportedSlice),
        "Namespace" => Some(Kind::Namespace),
        "Pod" => Some(Kind::Pod),
        _ => None,
    }
}

/// Lines that are written, and their checksum.
struct Summed {
    out: BufWriter<File>,
    digest: Sha256,
}

impl Summed {
    fn line(&mut self, line: &str) -> io::Result<()> {
        self.digest.update(line.as_bytes());
        writeln!(self.out, "{line}")
    }
}

/// The lines of a file; one that is far too long is an error.
fn lines(file: &File) -> impl Iterator<Item = io::Result<String>> {
    let mut file = BufReader::new(file);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match io::Read::take(&mut file, MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.pop() != Some(b'\n') => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Some(String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())),
            Err(e) => Some(Err(e)),
        }
    })
}

/// The first line, with a number that changes when older files cannot be read any more.
const HEADER: &str = "# poddns snapshot 1 ";
/// The last line.
const END: &str = "# sha256 ";
/// Octets of a line: an object of 100 kB in the API is one of a few kB here.
const MAX_LINE: u64 = 16 << 20;
/// Between two looks at whether anything has changed.
const LOOK: Duration = Duration::from_secs(5);
/// Between two times that the file is written.
const PAUSE: Duration = Duration::from_secs(60);
/// Objects that are written before other work has its turn.
const TURN: u32 = 64;
