//! Manifest files, and the objects in them.

use super::problems::Problems;
use crate::objects::Metadata;
use api::yaml::{self, Value};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// One object of a file.
pub struct Document {
    /// Where it stands.
    pub place: String,
    object: Value,
}

impl Document {
    /// The objects of a file; those that are no YAML or JSON become problems.
    pub fn all(file: &Path, text: &str, problems: &mut Problems) -> Vec<Document> {
        let mut objects = Vec::new();
        for (number, (line, document)) in split(text).into_iter().enumerate() {
            let place = format!("{}: document {}", file.display(), number + 1);
            match parse(file, document) {
                Ok(object) => unfold(place, object, &mut objects),
                Err((at, e)) => problems.unreadable(format!("{place}, line {}: {e}", line + at)),
            }
        }
        objects
    }

    /// What kind of object it is, if it is one that may count: other groups have kinds of these names, too.
    ///
    /// # Errors
    /// It has no kind.
    pub fn kind(&self) -> Result<Option<&str>, String> {
        let text = |field| self.object.get(field).and_then(Value::as_str);
        let kind = text("kind").ok_or("has no `kind`")?;
        let group = match kind {
            "Service" | "Namespace" | "Pod" | "Endpoints" | "Node" => "",
            "EndpointSlice" => "discovery.k8s.io",
            "ServiceImport" => "multicluster.x-k8s.io",
            _ => return Ok(None),
        };
        let same = text("apiVersion").is_none_or(|v| v.rsplit_once('/').unwrap_or_default().0 == group);
        Ok(same.then_some(kind))
    }

    /// Its kind as metrics have it.
    pub fn plural(&self) -> String {
        let kind = self.object.get("kind").and_then(Value::as_str).unwrap_or("unknown").to_lowercase();
        if kind.ends_with('s') || kind == "unknown" { kind } else { kind + "s" }
    }

    /// Its labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.object.get("metadata").and_then(|m| m.get("labels"));
        labels.and_then(|l| BTreeMap::deserialize(l).ok()).unwrap_or_default()
    }

    /// Reads the object.
    ///
    /// # Errors
    /// Names the field that is not as it has to be.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, String> {
        serde_path_to_error::deserialize(&self.object).map_err(|e| format!("{}: {}", e.path(), e.inner()))
    }

    /// Reads an object that is in a namespace: in `default` where it names none, as the API would have it.
    ///
    /// # Errors
    /// As of [`Document::read`].
    pub fn placed<'a, T: Deserialize<'a> + Placed>(&'a self) -> Result<T, String> {
        let mut object: T = self.read()?;
        object.default_namespace();
        Ok(object)
    }

    /// Kind, namespace and name, as far as it has them.
    fn identity(&self) -> Option<[&str; 3]> {
        let metadata = |field| self.object.get("metadata")?.get(field)?.as_str();
        Some([self.kind().ok()??, metadata("namespace").unwrap_or(DEFAULT), metadata("name")?])
    }
}

/// Leaves the last one of objects with the same name; the others become problems.
pub fn without_repetition(mut documents: Vec<Document>, problems: &mut Problems) -> Vec<Document> {
    let mut last = HashMap::new();
    for (number, document) in documents.iter().enumerate() {
        last.extend(document.identity().map(|identity| (identity, number)));
    }
    let mut kept = Vec::with_capacity(documents.len());
    for (number, document) in documents.iter().enumerate() {
        let counts = document.identity().and_then(|identity| last.get(&identity)).copied().unwrap_or(number);
        kept.push(counts == number);
        if counts != number {
            problems.of(document, &format!("stands once more in {}, which counts", documents[counts].place));
        }
    }
    let mut kept = kept.into_iter();
    documents.retain(|_| kept.next().unwrap_or_default());
    documents
}

/// An object that is in a namespace.
pub trait Placed {
    /// Puts it into the default namespace, if it names none.
    fn default_namespace(&mut self);
}

/// Makes objects [`Placed`].
macro_rules! placed {
    ($($type:ident),*) => {
        $(impl $crate::manifests::documents::Placed for $type<'_> {
            fn default_namespace(&mut self) {
                $crate::manifests::documents::place(&mut self.metadata);
            }
        })*
    };
}
pub(super) use placed;

/// Puts what names no namespace into the default one.
pub fn place<L>(metadata: &mut Metadata<'_, L>) {
    if metadata.namespace.is_empty() {
        metadata.namespace = DEFAULT.into();
    }
}

/// Reads a document; an error comes with its line, from 0.
fn parse(file: &Path, text: &str) -> Result<Value, (usize, String)> {
    if file.extension().is_some_and(|e| e == "json") {
        return serde_json::from_str(text).map_err(|e| (e.line().saturating_sub(1), e.to_string()));
    }
    yaml::read(text).map_err(|fault| (fault.line, fault.words))
}

/// The objects of a document: itself, or the items of a list.
fn unfold(place: String, document: Value, objects: &mut Vec<Document>) {
    match document {
        Value::Null => (),
        Value::Mapping(mut map) if matches!(map.get("items"), Some(Value::Sequence(_))) => {
            let Some(Value::Sequence(items)) = map.remove("items") else { return };
            let items = items.into_iter().enumerate();
            objects.extend(items.map(|(n, object)| Document { place: format!("{place}, items[{n}]"), object }));
        }
        object => objects.push(Document { place, object }),
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

/// The namespace of what names none.
const DEFAULT: &str = "default";
