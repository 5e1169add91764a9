//! `manifests PATH…`: the cluster read from files, as `kubectl get … -o yaml` writes them, without an API server.
//!
//! Files are looked at twice a second rather than watched by the kernel: that sees every change on every file system,
//! also a ConfigMap's, which is a swapped link. What changed is read once it has stood still for one look.

mod derived;
mod documents;
mod problems;
mod workload;

use crate::cluster::{Config, Writers};
use crate::index::{Kind, Writer};
use crate::objects::{EndpointSlice, Namespace, Pod, Service, ServiceImport};
use crate::watch::SharedWriter;
use api::task::Stop;
use api::{Clock, os_words};
use derived::Derived;
use documents::{Document, placed, without_repetition};
use problems::Problems;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// What is read from files.
#[derive(Clone, PartialEq, Debug)]
pub struct Manifests {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Which objects in them count.
    pub config: Config,
}

impl Manifests {
    /// Keeps the index equal to what the files hold, until told to stop.
    pub async fn follow(self, writers: Writers, clock: Clock, mut stop: Stop) {
        let (mut read, mut seen) = (None, None);
        loop {
            let now = self.look();
            if now != read && (now == seen || read.is_none()) {
                self.report(self.load(&writers, clock.unix().as_secs() as u32));
                read = now.clone();
            }
            seen = now;
            if stop.or(tokio::time::sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }

    /// Says that every path can be read.
    ///
    /// # Errors
    /// Names the first one that cannot.
    pub fn check(&self) -> Result<(), String> {
        self.files().map(drop)
    }

    fn report(&self, outcome: Result<Vec<String>, String>) {
        match outcome {
            Ok(problems) => {
                problems.iter().take(REPORTED).for_each(|p| tracing::error!("{p}"));
                if problems.len() > REPORTED {
                    tracing::error!("and {} mistakes more in manifests", problems.len() - REPORTED);
                }
            }
            Err(e) => tracing::error!("{e}; answers stay as they are"),
        }
    }

    /// Reads everything and makes the index equal to it. Returns what is wrong with parts of it; the rest is served.
    ///
    /// # Errors
    /// A file cannot be read: nothing has changed.
    pub(crate) fn load(&self, writers: &Writers, now: u32) -> Result<Vec<String>, String> {
        let mut problems = Problems::default();
        let documents = self.read(&mut problems)?;
        let mut writers = Locked::new(writers);
        writers.each(&self.config.kinds, |writer, kind| writer.begin_list(kind));
        let mut spaces = 0;
        for document in &documents {
            let kinds = kinds_of(document).map_err(|e| problems.of(document, &e)).unwrap_or_default();
            for &kind in kinds.iter().filter(|&&kind| self.counts(kind, document)) {
                spaces += usize::from(kind == Kind::Namespace);
                let Some(writer) = writers.of(kind) else { continue };
                let outcome = put(writer, kind, document, now);
                outcome.err().into_iter().chain(writer.take_remarks()).for_each(|why| problems.of(document, &why));
            }
        }
        if self.config.kinds.contains(&Kind::EndpointSlice) {
            self.derive(&documents, &mut writers.own, now, &mut problems);
        }
        writers.each(&self.config.kinds, |writer, kind| writer.end_list(kind, now));
        if spaces == 0 && !documents.is_empty() {
            problems.say("manifests hold no Namespace: services without one have no name".into());
        }
        Ok(problems.into_lines())
    }

    /// All objects, each once.
    fn read(&self, problems: &mut Problems) -> Result<Vec<Document>, String> {
        let mut documents = Vec::new();
        for file in self.files()? {
            let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {}", file.display(), os_words(&e)))?;
            documents.extend(Document::all(&file, &text, problems));
        }
        Ok(without_repetition(documents, problems))
    }

    /// Puts the endpoints into the index that the files tell by other objects than EndpointSlices.
    fn derive(&self, documents: &[Document], writer: &mut Writer, now: u32, problems: &mut Problems) {
        for Derived { document, labels, slice } in derived::slices(documents, problems) {
            if self.config.labels.matches(&labels) {
                writer.put_slice(&slice, now);
                writer.take_remarks().iter().for_each(|why| problems.of(document, why));
            }
        }
    }

    /// Whether an object of a kind is one of those that are asked for.
    fn counts(&self, kind: Kind, document: &Document) -> bool {
        self.config.kinds.contains(&kind) && self.config.selector(kind).matches(&document.labels())
    }

    /// What tells whether anything has changed; `None` while a path cannot be read.
    fn look(&self) -> Option<Vec<(PathBuf, SystemTime, u64)>> {
        let look_at = |file: PathBuf| {
            let metadata = std::fs::metadata(&file).ok()?;
            Some((file, metadata.modified().ok()?, metadata.len()))
        };
        self.files().ok()?.into_iter().map(look_at).collect()
    }

    /// All files, those of a folder by name.
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let mut files = Vec::new();
        for path in &self.paths {
            let failed = |e: std::io::Error| format!("manifests {}: {}", path.display(), os_words(&e));
            if !std::fs::metadata(path).map_err(failed)?.is_dir() {
                files.push(path.clone());
                continue;
            }
            let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
            let mut found: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|e| e.path()).collect();
            found.retain(|p| is_manifest(p) && p.is_file());
            found.sort();
            files.append(&mut found);
        }
        Ok(files)
    }
}

/// Puts one object into the index that objects of `kind` stand in.
///
/// # Errors
/// The object is none of that kind.
fn put(writer: &mut Writer, kind: Kind, document: &Document, now: u32) -> Result<(), String> {
    match kind {
        Kind::Service => writer.put_service(&document.placed::<Service<'_>>()?, now),
        Kind::ServiceImport => writer.put_import(&document.placed::<ServiceImport<'_>>()?, now),
        Kind::EndpointSlice => writer.put_slice(&document.placed::<EndpointSlice<'_>>()?, now),
        Kind::ImportedSlice => {
            let slice: EndpointSlice<'_> = document.placed()?;
            if !slice.metadata.labels.imported_service.is_empty() {
                writer.put_slice(&slice, now);
            }
        }
        Kind::Namespace => writer.put_namespace(&document.read::<Namespace<'_>>()?.metadata),
        Kind::Pod => {
            let pod: Pod<'_> = document.placed()?;
            if !matches!(&*pod.status.phase, "Succeeded" | "Failed" | "Unknown") {
                writer.put_pod(&pod, now);
            }
        }
    }
    Ok(())
}

/// The writers of both indices.
struct Locked<'a> {
    own: MutexGuard<'a, Writer>,
    imports: Option<MutexGuard<'a, Writer>>,
}

impl<'a> Locked<'a> {
    fn new(writers: &'a Writers) -> Self {
        let lock = |writer: &'a SharedWriter| writer.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { own: lock(&writers.own), imports: writers.imports.as_ref().map(lock) }
    }

    fn of(&mut self, kind: Kind) -> Option<&mut Writer> {
        if kind.is_imported() { self.imports.as_deref_mut() } else { Some(&mut self.own) }
    }

    fn each(&mut self, kinds: &[Kind], mut apply: impl FnMut(&mut Writer, Kind)) {
        for &kind in kinds {
            self.of(kind).into_iter().for_each(|writer| apply(writer, kind));
        }
    }
}

/// The kinds that an object is of, of those that can count: an EndpointSlice may be an imported one too.
///
/// # Errors
/// It has no kind.
fn kinds_of(document: &Document) -> Result<&'static [Kind], String> {
    Ok(match document.kind()? {
        Some("Service") => &[Kind::Service],
        Some("Namespace") => &[Kind::Namespace],
        Some("Pod") => &[Kind::Pod],
        Some("EndpointSlice") => &[Kind::EndpointSlice, Kind::ImportedSlice],
        Some("ServiceImport") => &[Kind::ServiceImport],
        _ => &[],
    })
}

placed!(Service, ServiceImport, EndpointSlice, Pod);

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(500);
/// Mistakes that are logged one by one.
const REPORTED: usize = 20;

#[cfg(test)]
mod tests;
