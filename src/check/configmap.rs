//! Corefiles in ConfigMaps, as they stand in manifests: `kind: ConfigMap` with the key `Corefile`, and others to import.

use api::yaml::{self, Fault};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The key with the configuration.
pub const COREFILE: &str = "Corefile";

/// A value of the ConfigMap.
#[derive(Debug, PartialEq, Eq)]
pub struct Value {
    pub key: String,
    pub text: String,
    /// Where its lines stand in the manifest; `None` where they are written in another way.
    pub stands: Option<Stands>,
}

/// Where a value stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Lines in front of its first one.
    pub line: u32,
    /// Blanks in front of each.
    pub indent: u32,
}

/// Whether a text is a manifest with a ConfigMap, and no Corefile.
pub fn is_one(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches([' ', '-', '{']).replace(['"', ',', '\''], "");
        line.split_once(':').is_some_and(|(key, kind)| key.trim() == "kind" && kind.trim() == "ConfigMap")
    })
}

/// The values of the first ConfigMap in a manifest that has a Corefile.
///
/// # Errors
/// It is no YAML, or there is no such ConfigMap.
pub fn read(text: &str) -> Result<Vec<Value>, String> {
    for (line, document) in documents(text) {
        let object: Object = yaml::read(document).map_err(|fault| words(line, &fault))?;
        let objects = std::iter::once(&object).chain(&object.items);
        let mut maps = objects.filter(|object| object.kind == "ConfigMap");
        if let Some(map) = maps.find(|map| map.data.contains_key(COREFILE)) {
            let value = |(key, text): (&String, &String)| Value {
                key: key.clone(),
                text: text.clone(),
                stands: find(document, key, text).map(|at| Stands { line: at.line + line, ..at }),
            };
            return Ok(map.data.iter().map(value).collect());
        }
    }
    Err(format!("there is no ConfigMap with the key {COREFILE} in it"))
}

/// An object of the API; others than ConfigMaps are read too.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    kind: String,
    #[serde(deserialize_with = "texts")]
    data: BTreeMap<String, String>,
    /// Those of a list.
    items: Vec<Object>,
}

/// Values that are texts; other objects have others too.
fn texts<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all = Option::<BTreeMap<String, yaml::Value>>::deserialize(from)?.unwrap_or_default();
    Ok(all.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect())
}

fn words(before: u32, fault: &Fault) -> String {
    let line = fault.line as u32 + before + 1;
    format!("it is no YAML of Kubernetes objects, line {line}: {}", fault.words)
}

/// The documents of a text with the number of lines in front of each.
fn documents(text: &str) -> Vec<(u32, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.strip_prefix("---").is_some_and(|r| r.is_empty() || r.starts_with(char::is_whitespace)) {
            documents.push((first, &text[start..at]));
            (start, first) = (at, number as u32);
        }
        at += line.len();
    }
    documents.push((first, &text[start..]));
    documents.retain(|(_, document)| !document.trim().is_empty());
    documents
}

/// Where the text of a key stands as a block of lines (`KEY: |`).
fn find(document: &str, key: &str, text: &str) -> Option<Stands> {
    let lines: Vec<&str> = document.lines().collect();
    let opens = |line: &str| {
        let line = line.trim_start().replace(['"', '\''], "");
        line.strip_prefix(key).and_then(|r| r.strip_prefix(':')).is_some_and(|r| r.trim_start().starts_with('|'))
    };
    let stands = |at: usize| {
        let below = &lines[at + 1..];
        let first = below.iter().find(|line| !line.trim().is_empty())?;
        let indent = first.len() - first.trim_start_matches(' ').len();
        let inside = |line: &str| line.get(indent..).unwrap_or("").to_owned();
        let same = text.lines().enumerate().all(|(i, line)| below.get(i).is_some_and(|l| inside(l) == line));
        same.then_some(Stands { line: at as u32 + 1, indent: indent as u32 })
    };
    lines.iter().enumerate().filter(|(_, line)| opens(line)).find_map(|(at, _)| stands(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "# two objects\nkind: ServiceAccount\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: coredns}\ndata:\n  \
        Corefile: |\n    . {\n        errors\n\n    }\n  other: \"log\\n\"\n";

    #[test]
    fn values_and_where_they_stand() {
        assert!(is_one(MANIFEST) && is_one("{\"kind\": \"ConfigMap\",\n}") && !is_one(". {\n kind\n}\n"));
        let stands = Some(Stands { line: 8, indent: 4 });
        let values = [
            Value { key: "Corefile".into(), text: ". {\n    errors\n\n}\n".into(), stands },
            Value { key: "other".into(), text: "log\n".into(), stands: None },
        ];
        assert_eq!(read(MANIFEST), Ok(values.into()));
    }

    #[test]
    fn what_is_no_such_manifest() {
        let none = "there is no ConfigMap with the key Corefile in it";
        assert_eq!(read("kind: ConfigMap\ndata:\n"), Err(none.into()));
        assert_eq!(read("kind: ConfigMap\ndata: {Corefile: 5}\n"), Err(none.into()));
        assert!(
            read("a: b\n---\nkind: {\n").is_err_and(|e| e.starts_with("it is no YAML of Kubernetes objects, line "))
        );
        let list = "kind: List\nitems:\n- kind: ConfigMap\n  data:\n    Corefile: |-\n      .\n";
        assert_eq!(read(list).map(|values| values[0].stands), Ok(Some(Stands { line: 5, indent: 6 })));
    }
}
