//! The one that changes the index: objects in, values published.

mod convert;
mod external;
mod pods;
mod services;
mod slices;

use super::Index;
use super::entry::{Backing, Namespace, Pod, Port};
use super::labels::{KeptLabels, LabelSet};
use super::slots::Free;
use super::tags::Tags;
use crate::objects;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Fills an index; there is one for each.
///
/// Every function takes `now`, the Unix time that becomes the zone's serial where the change is one that counts.
pub struct Writer {
    index: Arc<Index>,
    /// The index of the cluster itself, where this one is of imports.
    cluster: Option<Arc<Index>>,
    options: Options,
    services: Kept,
    slices: Kept,
    slice_names: Tags,
    pods: Kept,
    pod_names: Tags,
    kept_labels: KeptLabels,
    label_sets: HashSet<Arc<LabelSet>>,
    namespaces: Kept,
    external_slots: Free,
    ports: HashSet<Arc<[Port]>>,
    zones: HashSet<Arc<[u8]>>,
    remarks: Vec<String>,
}

/// How objects are read.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Options {
    /// `endpoint_pod_names`: an endpoint without host name is called like its pod.
    pub pod_names: bool,
    /// `zonal`: endpoints are found by their zones.
    pub zones: bool,
    /// What services are seen as from outside is kept too.
    pub external: bool,
}

/// What is listed and watched, each for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// v1 Service.
    Service,
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlice,
    /// v1 Namespace.
    Namespace,
    /// v1 Pod.
    Pod,
    /// multicluster.x-k8s.io/v1alpha1 ServiceImport.
    ServiceImport,
    /// discovery.k8s.io/v1 EndpointSlice of a ServiceImport.
    ImportedSlice,
}

impl Kind {
    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Whether objects of this kind tell of other clusters: they stand in an index of their own.
    pub fn is_imported(self) -> bool {
        matches!(self, Kind::ServiceImport | Kind::ImportedSlice)
    }
}

/// The slots of one kind: which are free, and which the list that is being read has named.
#[derive(Default)]
struct Kept {
    free: Free,
    listed: Vec<bool>,
}

impl Kept {
    fn note(&mut self, slot: u32) {
        if self.listed.len() <= slot as usize {
            self.listed.resize(slot as usize + 1, false);
        }
        self.listed[slot as usize] = true;
    }

    fn missing(&self) -> Vec<u32> {
        (0..self.free.end()).filter(|&s| !self.listed.get(s as usize).is_some_and(|l| *l)).collect()
    }
}

impl Writer {
    pub(super) fn new(index: Arc<Index>, cluster: Option<Arc<Index>>, options: Options) -> Self {
        Writer {
            index,
            cluster,
            options,
            services: Kept::default(),
            slices: Kept::default(),
            slice_names: Tags::new(),
            pods: Kept::default(),
            pod_names: Tags::new(),
            kept_labels: KeptLabels::None,
            label_sets: HashSet::new(),
            namespaces: Kept::default(),
            external_slots: Free::default(),
            ports: HashSet::new(),
            zones: HashSet::new(),
            remarks: Vec::new(),
        }
    }

    /// Keeps these labels of pods from now on.
    pub fn keep_labels(&mut self, labels: KeptLabels) {
        self.kept_labels = labels;
    }

    /// Notes an object, or a part of one, that makes no sense; `what` names the field and what it holds.
    pub fn remark(&mut self, mut what: String) {
        if what.len() > REMARK {
            what.truncate(what.floor_char_boundary(REMARK));
            what.push('…');
        }
        if self.remarks.len() < REMARKS {
            self.remarks.push(what);
        }
    }

    /// What was remarked since the last call, the first few.
    pub fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// Where the name of a service of the cluster itself leads now.
    pub fn backing(&self, service: &str, namespace: &str) -> Option<Backing> {
        let owner = [convert::label(service)?, convert::label(namespace)?].concat();
        Some(self.cluster().service(&owner)?.definition.as_ref()?.backing.clone())
    }

    /// Octets that objects of a kind take in the index.
    pub fn bytes(&self, kind: Kind) -> usize {
        self.index.bytes(kind)
    }

    /// The index is as a snapshot has it, and whole until the lists come.
    pub fn restored(&self) {
        self.index.restored.store(true, Ordering::Release);
    }

    /// A complete list of `kind` begins; its objects are put one by one.
    pub fn begin_list(&mut self, kind: Kind) {
        self.kept(kind).listed.clear();
    }

    /// The list is complete: what it did not name is gone, and the kind is synced.
    pub fn end_list(&mut self, kind: Kind, now: u32) {
        for slot in self.kept(kind).missing() {
            match kind {
                Kind::Service | Kind::ServiceImport => self.undefine(slot, now),
                Kind::EndpointSlice | Kind::ImportedSlice => self.remove_slice(slot, now),
                Kind::Namespace => self.namespace_gone(slot),
                Kind::Pod => self.remove_pod(slot, now),
            }
        }
        self.kept(kind).listed = Vec::new();
        self.index.unsynced.fetch_and(!kind.bit(), Ordering::AcqRel);
    }

    /// Adds or replaces a Service.
    pub fn put_service(&mut self, object: &objects::Service<'_>, now: u32) {
        if let Some(owner) = self.owner(&object.metadata) {
            let definition = self.definition(&object.spec);
            self.put_external(&owner, &definition, object, now);
            self.define(&owner, definition, now);
        }
    }

    /// Adds or replaces a ServiceImport.
    pub fn put_import(&mut self, object: &objects::ServiceImport<'_>, now: u32) {
        if let Some(owner) = self.owner(&object.metadata) {
            let definition = self.import(&object.spec);
            self.define(&owner, definition, now);
        }
    }

    /// Removes a Service or a ServiceImport; its slices stay.
    pub fn delete_service(&mut self, object: &objects::Metadata<'_>, now: u32) {
        let found = self.owner(object).and_then(|owner| self.find_service(&owner));
        if let Some(slot) = found {
            self.undefine(slot, now);
        }
    }

    /// Adds or replaces an EndpointSlice.
    pub fn put_slice(&mut self, object: &objects::EndpointSlice<'_>, now: u32) {
        let Some(slice) = self.slice(object) else { return };
        let found = self.find_slice(&slice.name, &slice.namespace.label);
        let Some(slot) = found.or_else(|| self.slices.free.take()) else { return self.remark(FULL.into()) };
        self.slices.note(slot);
        let old = self.index.slices.get_full(slot);
        if old.as_deref() == Some(&slice) {
            return;
        }
        if old.is_some() {
            self.touch(now);
        } else {
            self.counts(now);
        }
        self.slice_names.insert(self.identity(&slice.name, &slice.namespace.label), slot);
        self.replace_slice(slot, old, Some(slice));
    }

    /// Removes an EndpointSlice.
    pub fn delete_slice(&mut self, object: &objects::Metadata<'_>, now: u32) {
        let found = convert::label(&object.namespace).and_then(|ns| self.find_slice(object.name.as_bytes(), &ns));
        if let Some(slot) = found {
            self.remove_slice(slot, now);
        }
    }

    /// Adds a Namespace.
    pub fn put_namespace(&mut self, object: &objects::Metadata<'_>) {
        let Some(label) = convert::label(&object.name) else {
            return self.remark(no_label("metadata.name", &object.name));
        };
        if let Some((slot, namespace)) = self.namespace(&label) {
            self.namespaces.note(slot);
            if !namespace.exists() {
                namespace.set_exists(true);
                self.index.namespaces.note_change();
            }
        }
    }

    /// Removes a Namespace; what is in it stays, unexposed.
    pub fn delete_namespace(&mut self, object: &objects::Metadata<'_>) {
        if let Some((slot, _)) = convert::label(&object.name).and_then(|label| self.find_namespace(&label)) {
            self.namespace_gone(slot);
        }
    }

    /// Adds or replaces a Pod. One that is being deleted is not added, and stays as it was if it was known.
    pub fn put_pod(&mut self, object: &objects::Pod<'_>, now: u32) {
        let metadata = &object.metadata;
        let Some(namespace) = convert::label(&metadata.namespace) else {
            return self.remark(no_label("metadata.namespace", &metadata.namespace));
        };
        let found = self.find_pod(metadata.name.as_bytes(), &namespace);
        if !metadata.deletion_timestamp.is_empty() {
            return found.into_iter().for_each(|slot| self.pods.note(slot));
        }
        let Some((address, odd)) = convert::address(&object.status.pod_ip) else {
            return found.into_iter().for_each(|slot| self.remove_pod(slot, now));
        };
        let Some((_, namespace)) = self.namespace(&namespace) else { return };
        let odd = odd.then(|| object.status.pod_ip.as_bytes().into());
        let labels = self.kept_labels.of(&metadata.labels).map(|labels| self.shared_labels(labels));
        let pod = Pod { name: metadata.name.as_bytes().into(), namespace, address, odd, labels };
        self.publish_pod(found, pod, now);
    }

    /// Removes a Pod.
    pub fn delete_pod<L>(&mut self, object: &objects::Metadata<'_, L>, now: u32) {
        let found = convert::label(&object.namespace).and_then(|ns| self.find_pod(object.name.as_bytes(), &ns));
        if let Some(slot) = found {
            self.remove_pod(slot, now);
        }
    }

    // Namespaces.

    /// The namespace called `label`, made if it is not known.
    fn namespace(&mut self, label: &[u8]) -> Option<(u32, Arc<Namespace>)> {
        if let Some(found) = self.find_namespace(label) {
            return Some(found);
        }
        let Some(slot) = self.namespaces.free.take() else {
            self.remark(FULL.into());
            return None;
        };
        let namespace = Arc::new(Namespace::new(label));
        self.index.namespaces.set(slot, Some(namespace.clone()));
        self.index.namespace_names.insert(self.index.hash(label), slot);
        Some((slot, namespace))
    }

    /// Notes that a namespace is gone.
    fn namespace_gone(&mut self, slot: u32) {
        if let Some(namespace) = self.index.namespaces.get(slot) {
            namespace.set_exists(false);
            self.index.namespaces.note_change();
        }
        self.forget_namespaces();
    }

    /// Forgets the namespaces that are gone and have nothing in them.
    fn forget_namespaces(&mut self) {
        for slot in 0..self.namespaces.free.end() {
            let Some(namespace) = self.index.namespaces.get_full(slot) else { continue };
            // One count is the index's own, one is held here.
            if !namespace.exists() && Arc::strong_count(&namespace) == 2 {
                self.index.namespace_names.remove(self.index.hash(&*namespace.label), slot);
                self.index.namespaces.set(slot, None);
                self.namespaces.free.put(slot);
            }
        }
    }

    fn find_namespace(&self, label: &[u8]) -> Option<(u32, Arc<Namespace>)> {
        self.index.namespace_names.find(self.index.hash(label), |slot| {
            let namespace = self.index.namespaces.get_full(slot)?;
            (*namespace.label == *label).then_some((slot, namespace))
        })
    }

    // Helpers.

    fn kept(&mut self, kind: Kind) -> &mut Kept {
        match kind {
            Kind::Service | Kind::ServiceImport => &mut self.services,
            Kind::EndpointSlice | Kind::ImportedSlice => &mut self.slices,
            Kind::Namespace => &mut self.namespaces,
            Kind::Pod => &mut self.pods,
        }
    }

    /// Notes that an object changed.
    fn touch(&self, now: u32) {
        self.index.serial.store(now, Ordering::Relaxed);
    }

    /// Notes that there are more objects, or fewer; also of imports that is the serial of the cluster itself (spec 10.4).
    fn counts(&self, now: u32) {
        self.cluster().serial.store(now, Ordering::Relaxed);
    }

    fn cluster(&self) -> &Index {
        self.cluster.as_ref().unwrap_or(&self.index)
    }

    fn identity(&self, name: &[u8], namespace: &[u8]) -> u64 {
        self.index.hash((name, namespace))
    }
}

/// What is remarked about a name that is no DNS label.
fn no_label(field: &str, name: &str) -> String {
    format!("{field}: {name:?} is no DNS label")
}

fn retag(tags: &Tags, slot: u32, old: &[u64], new: &[u64]) {
    for hash in new.iter().filter(|h| !old.contains(h)) {
        tags.insert(*hash, slot);
    }
    for hash in old.iter().filter(|h| !new.contains(h)) {
        tags.remove(*hash, slot);
    }
}

/// Octets of a remark, most of which are what an object holds.
const REMARK: usize = 300;
/// Remarks that are kept until they are taken.
const REMARKS: usize = 20;
const FULL: &str = "there are more objects than this server can hold";
