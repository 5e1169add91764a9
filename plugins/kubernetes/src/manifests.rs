//! `manifests PATH…`: the cluster read from files, as `kubectl get … -o yaml` writes them, without an API server.
//!
//! Files are looked at twice a second rather than watched by the kernel: that sees every change on every file system,
//! also a ConfigMap's, which is a swapped link. What changed is read once it has stood still for one look.

use crate::cluster::{Config, Writers};
use crate::index::{Kind, Writer};
use crate::objects::{EndpointSlice, Metadata, Namespace, Pod, Service, ServiceImport};
use crate::watch::SharedWriter;
use api::task::Stop;
use api::yaml::{self, Value};
use api::{Clock, os_words};
use serde::Deserialize;
use std::collections::BTreeMap;
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
    fn load(&self, writers: &Writers, now: u32) -> Result<Vec<String>, String> {
        let mut problems = Vec::new();
        let mut documents = Vec::new();
        for file in self.files()? {
            let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {}", file.display(), os_words(&e)))?;
            documents.extend(documents_of(&file, &text, &mut problems));
        }
        let mut writers = Locked::new(writers);
        writers.each(&self.config.kinds, |writer, kind| writer.begin_list(kind));
        let mut spaces = 0;
        for (place, document) in &documents {
            let kinds = kinds_of(document).map_err(|e| problems.push(format!("{place}: {e}"))).unwrap_or_default();
            for &kind in kinds.iter().filter(|&&kind| self.counts(kind, document)) {
                spaces += usize::from(kind == Kind::Namespace);
                let Some(writer) = writers.of(kind) else { continue };
                let outcome = put(writer, kind, document, now);
                let remarks = outcome.err().into_iter().chain(writer.take_remarks());
                problems.extend(remarks.map(|r| format!("{place}: {r}")));
            }
        }
        writers.each(&self.config.kinds, |writer, kind| writer.end_list(kind, now));
        if spaces == 0 && !documents.is_empty() {
            problems.push("manifests hold no Namespace: services without one have no name".into());
        }
        Ok(problems)
    }

    /// Whether an object of a kind is one of those that are asked for.
    fn counts(&self, kind: Kind, document: &Value) -> bool {
        self.config.kinds.contains(&kind) && self.config.selector(kind).matches(&labels_of(document))
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
fn put(writer: &mut Writer, kind: Kind, document: &Value, now: u32) -> Result<(), String> {
    match kind {
        Kind::Service => writer.put_service(&placed::<Service<'_>>(document)?, now),
        Kind::ServiceImport => writer.put_import(&placed::<ServiceImport<'_>>(document)?, now),
        Kind::EndpointSlice => writer.put_slice(&placed::<EndpointSlice<'_>>(document)?, now),
        Kind::ImportedSlice => {
            let slice: EndpointSlice<'_> = placed(document)?;
            if !slice.metadata.labels.imported_service.is_empty() {
                writer.put_slice(&slice, now);
            }
        }
        Kind::Namespace => writer.put_namespace(&read::<Namespace<'_>>(document)?.metadata),
        Kind::Pod => {
            let pod: Pod<'_> = placed(document)?;
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
fn kinds_of(document: &Value) -> Result<&'static [Kind], String> {
    let text = |field| document.get(field).and_then(Value::as_str);
    let kind = text("kind").ok_or("has no `kind`")?;
    let (group, kinds): (_, &[Kind]) = match kind {
        "Service" => ("", &[Kind::Service]),
        "Namespace" => ("", &[Kind::Namespace]),
        "Pod" => ("", &[Kind::Pod]),
        "EndpointSlice" => ("discovery.k8s.io", &[Kind::EndpointSlice, Kind::ImportedSlice]),
        "ServiceImport" => ("multicluster.x-k8s.io", &[Kind::ServiceImport]),
        _ => return Ok(&[]),
    };
    // Other groups have kinds of these names, too.
    let same = text("apiVersion").is_none_or(|version| version.rsplit_once('/').unwrap_or_default().0 == group);
    Ok(if same { kinds } else { &[] })
}

/// The objects of a file with their places; those that are no YAML or JSON become problems.
fn documents_of(file: &Path, text: &str, problems: &mut Vec<String>) -> Vec<(String, Value)> {
    let mut objects = Vec::new();
    for (number, (line, document)) in split(text).into_iter().enumerate() {
        let place = format!("{}: document {}", file.display(), number + 1);
        match parse(file, document) {
            Ok(value) => unfold(place, value, &mut objects),
            Err((at, e)) => problems.push(format!("{place}, line {}: {e}", line + at)),
        }
    }
    objects
}

/// Reads a document; an error comes with its line, from 0.
fn parse(file: &Path, text: &str) -> Result<Value, (usize, String)> {
    if file.extension().is_some_and(|e| e == "json") {
        return serde_json::from_str(text).map_err(|e| (e.line().saturating_sub(1), e.to_string()));
    }
    yaml::read(text).map_err(|fault| (fault.line, fault.words))
}

/// The objects of a document: itself, or the items of a list.
fn unfold(place: String, document: Value, objects: &mut Vec<(String, Value)>) {
    match document {
        Value::Null => (),
        Value::Mapping(mut map) if matches!(map.get("items"), Some(Value::Sequence(_))) => {
            let Some(Value::Sequence(items)) = map.remove("items") else { return };
            let items = items.into_iter().enumerate();
            objects.extend(items.map(|(number, item)| (format!("{place}, items[{number}]"), item)));
        }
        document => objects.push((place, document)),
    }
}

/// The documents of a text with the line, from 1, at which each begins. A line that starts with `---` can be nothing
/// but the border of documents (YAML 1.2, 9.1.2).
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut borders = vec![(1, 0)];
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let border = line.strip_prefix("---").is_some_and(|r| r.is_empty() || r.starts_with(char::is_whitespace));
        if border && text[..at].trim().is_empty() {
            borders.clear();
        }
        if border {
            borders.push((number + 1, at));
        }
        at += line.len();
    }
    let ends = borders.iter().skip(1).map(|b| b.1).chain([text.len()]);
    borders.iter().zip(ends).map(|(&(line, start), end)| (line, &text[start..end])).collect()
}

fn labels_of(document: &Value) -> BTreeMap<String, String> {
    let labels = document.get("metadata").and_then(|m| m.get("labels"));
    labels.and_then(|l| BTreeMap::deserialize(l).ok()).unwrap_or_default()
}

/// Reads an object; an error names the field.
fn read<'a, T: Deserialize<'a>>(document: &'a Value) -> Result<T, String> {
    serde_path_to_error::deserialize(document).map_err(|e| format!("{}: {}", e.path(), e.inner()))
}

/// Reads an object that is in a namespace: in `default` where it names none, as the API would have it.
fn placed<'a, T: Deserialize<'a> + Placed>(document: &'a Value) -> Result<T, String> {
    let mut object: T = read(document)?;
    object.default_namespace();
    Ok(object)
}

trait Placed {
    fn default_namespace(&mut self);
}

macro_rules! placed {
    ($($type:ident),*) => {
        $(impl Placed for $type<'_> {
            fn default_namespace(&mut self) {
                place(&mut self.metadata);
            }
        })*
    };
}
placed!(Service, ServiceImport, EndpointSlice, Pod);

fn place<L>(metadata: &mut Metadata<'_, L>) {
    if metadata.namespace.is_empty() {
        metadata.namespace = "default".into();
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(500);
/// Mistakes that are logged one by one.
const REPORTED: usize = 20;

#[cfg(test)]
mod tests;
