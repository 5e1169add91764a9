//! The objects, their versions and what happened to them.

use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A kind of object that is served.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// `Service` and so on.
    pub name: &'static str,
    /// The path of its group and version.
    pub prefix: &'static str,
    /// Its word in paths.
    pub plural: &'static str,
    /// Its `apiVersion`.
    pub version: &'static str,
}

/// All that is served.
pub static KINDS: [Kind; 6] = [
    Kind { name: "Service", prefix: "/api/v1", plural: "services", version: "v1" },
    Kind { name: "Pod", prefix: "/api/v1", plural: "pods", version: "v1" },
    Kind { name: "Namespace", prefix: "/api/v1", plural: "namespaces", version: "v1" },
    Kind { name: "Node", prefix: "/api/v1", plural: "nodes", version: "v1" },
    Kind {
        name: "EndpointSlice",
        prefix: "/apis/discovery.k8s.io/v1",
        plural: "endpointslices",
        version: "discovery.k8s.io/v1",
    },
    Kind {
        name: "ServiceImport",
        prefix: "/apis/multicluster.x-k8s.io/v1alpha1",
        plural: "serviceimports",
        version: "multicluster.x-k8s.io/v1alpha1",
    },
];

/// Namespace (empty for what has none) and name.
pub(super) type Key = (String, String);

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// An object at a version, with its JSON text.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(super) key: Key,
    pub(super) object: Arc<Value>,
    pub(super) text: Bytes,
}

/// An entry of the log.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) change: Change,
    pub(super) stored: Stored,
}

/// Objects, history and listeners of every kind.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) version: u64,
    /// Watches from before this version are too old.
    pub(super) compacted: u64,
    tables: [Table; KINDS.len()],
}

#[derive(Debug, Default)]
struct Table {
    /// In the order of creation, as etcd's order does not matter to anybody.
    objects: Vec<Stored>,
    places: BTreeMap<Key, usize>,
    log: Vec<Event>,
    listeners: Vec<UnboundedSender<Event>>,
}

/// The state of all objects at some time.
#[derive(Clone, Debug)]
pub struct Backup {
    version: u64,
    objects: [Vec<Stored>; KINDS.len()],
}

impl Default for Store {
    fn default() -> Self {
        Self { version: 1, compacted: 0, tables: Default::default() }
    }
}

impl Store {
    /// Creates or changes an object. `unseen`: no watch is told.
    ///
    /// # Panics
    /// An unknown kind, or no name.
    pub(super) fn put(&mut self, mut object: Value, unseen: bool) {
        let kind = kind_of(object["kind"].as_str().expect("a kind"));
        self.version += 1;
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        let text = |field: Option<&Value>| field.and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (text(metadata.get("namespace")), text(metadata.get("name")));
        assert!(!key.1.is_empty(), "an object has a name");
        metadata.insert("resourceVersion".into(), self.version.to_string().into());
        let uid = format!("{}-{}-{}", KINDS[kind].name, key.0, key.1);
        metadata.entry("uid").or_insert(uid.into());
        if object.get("apiVersion").is_none() {
            object["apiVersion"] = KINDS[kind].version.into();
        }
        let stored = stored(key, object);
        let change = self.tables[kind].put(stored.clone());
        self.emit(kind, change, stored, unseen);
    }

    /// Removes an object. `unseen`: no watch is told.
    ///
    /// # Panics
    /// There is none.
    pub(super) fn delete(&mut self, kind: &str, namespace: &str, name: &str, unseen: bool) {
        let kind = kind_of(kind);
        let key = (namespace.to_owned(), name.to_owned());
        let old = self.tables[kind].remove(&key).expect("an object to delete");
        self.version += 1;
        let mut object = Value::clone(&old.object);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.emit(kind, Change::Deleted, stored(key, object), unseen);
    }

    fn emit(&mut self, kind: usize, change: Change, stored: Stored, unseen: bool) {
        if unseen {
            return;
        }
        let event = Event { version: self.version, change, stored };
        let table = &mut self.tables[kind];
        table.log.push(event.clone());
        if table.log.len() > HISTORY {
            table.log.drain(..HISTORY / 2);
        }
        table.listeners.retain(|l| l.send(event.clone()).is_ok());
    }

    pub(super) fn compact(&mut self) {
        self.version += 1;
        self.compacted = self.version;
        self.tables.iter_mut().for_each(|t| t.log.clear());
    }

    pub(super) fn rollback(&mut self, version: u64) {
        self.version = version;
        self.tables.iter_mut().for_each(|t| t.log.clear());
    }

    /// What a backup holds.
    pub(super) fn backup(&self) -> Backup {
        Backup { version: self.version, objects: self.tables.each_ref().map(|t| t.objects.clone()) }
    }

    /// Goes back to the state of a backup: its objects and version, without history.
    pub(super) fn restore(&mut self, backup: &Backup) {
        (self.version, self.compacted) = (backup.version, backup.version);
        for (table, objects) in self.tables.iter_mut().zip(&backup.objects) {
            table.objects.clone_from(objects);
            table.places = objects.iter().enumerate().map(|(at, s)| (s.key.clone(), at)).collect();
            table.log.clear();
        }
    }

    /// All objects of a kind (its place in [`KINDS`]), in the order of their creation.
    pub(super) fn objects(&self, kind: usize) -> &[Stored] {
        &self.tables[kind].objects
    }

    /// The objects of all kinds.
    pub(super) fn all(&self) -> impl Iterator<Item = &Value> {
        self.tables.iter().flat_map(|t| &t.objects).map(|s| &*s.object)
    }

    /// One object.
    pub(super) fn get(&self, kind: usize, key: &Key) -> Option<&Stored> {
        let table = &self.tables[kind];
        table.places.get(key).map(|at| &table.objects[*at])
    }

    /// What happened to a kind, as far as it is remembered.
    pub(super) fn log(&self, kind: usize) -> &[Event] {
        &self.tables[kind].log
    }

    /// Tells of what happens to a kind from now on.
    pub(super) fn listen(&mut self, kind: usize) -> UnboundedReceiver<Event> {
        let (send, receive) = unbounded_channel();
        self.tables[kind].listeners.push(send);
        receive
    }
}

impl Table {
    fn put(&mut self, stored: Stored) -> Change {
        if let Some(at) = self.places.get(&stored.key) {
            self.objects[*at] = stored;
            return Change::Modified;
        }
        self.places.insert(stored.key.clone(), self.objects.len());
        self.objects.push(stored);
        Change::Added
    }

    fn remove(&mut self, key: &Key) -> Option<Stored> {
        let at = self.places.remove(key)?;
        self.places.values_mut().filter(|p| **p > at).for_each(|p| *p -= 1);
        Some(self.objects.remove(at))
    }
}

fn stored(key: Key, object: Value) -> Stored {
    let text = Bytes::from(object.to_string());
    Stored { key, object: Arc::new(object), text }
}

fn kind_of(name: &str) -> usize {
    KINDS.iter().position(|k| k.name == name).unwrap_or_else(|| panic!("kind {name} is not served"))
}

/// Events that are remembered per kind.
const HISTORY: usize = 100_000;
