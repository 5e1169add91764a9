//! What a change of a Service does to what leads to it.

use super::{FULL, Writer, retag};
use crate::index::entry::{self, Backing, Definition, Service};
use smallvec::SmallVec;
use std::sync::Arc;

impl Writer {
    /// Sets what the object of a service says.
    pub(super) fn define(&mut self, owner: &[u8], definition: Definition, now: u32) {
        let Some(slot) = self.service_slot(owner) else { return };
        self.services.note(slot);
        let old = self.index.services.get_full(slot).expect("the slot was just found or made");
        match &old.definition {
            None => self.counts(now),
            Some(before) if *before == definition => return,
            Some(before) if self.same_for_serial(before, &definition) => (),
            Some(_) => self.touch(now),
        }
        self.tag_addresses(slot, old.definition.as_ref(), Some(&definition));
        self.publish_service(slot, old.with_definition(Some(definition)));
    }

    /// The slot of what is known under `owner`, made if nothing is.
    pub(super) fn service_slot(&mut self, owner: &[u8]) -> Option<u32> {
        if let Some(slot) = self.find_service(owner) {
            return Some(slot);
        }
        let (_, namespace) = self.namespace(&owner[entry::first_label(owner).len()..])?;
        let Some(slot) = self.services.free.take() else {
            self.remark(FULL.into());
            return None;
        };
        let (owner, slices) = (owner.into(), SmallVec::new());
        self.index
            .services
            .set(slot, Some(Arc::new(Service { owner, namespace, definition: None, slices, overlap: false })));
        let service = self.index.services.get(slot)?;
        self.index.service_names.insert(self.index.hash(&*service.owner), slot);
        Some(slot)
    }

    /// Publishes what is left of a service, or removes it when nothing is.
    pub(super) fn publish_service(&mut self, slot: u32, service: Service) {
        if service.definition.is_some() || !service.slices.is_empty() {
            return self.index.services.set(slot, Some(Arc::new(service)));
        }
        self.index.service_names.remove(self.index.hash(&*service.owner), slot);
        self.index.services.set(slot, None);
        self.services.free.put(slot);
    }

    /// Takes the Service object away, and leaves what its slices say.
    pub(super) fn undefine(&mut self, slot: u32, now: u32) {
        let Some(service) = self.index.services.get_full(slot) else { return };
        if service.definition.is_some() {
            self.counts(now);
            self.tag_addresses(slot, service.definition.as_ref(), None);
            self.remove_external(&service.owner);
            self.publish_service(slot, service.with_definition(None));
        }
    }

    fn tag_addresses(&self, slot: u32, old: Option<&Definition>, new: Option<&Definition>) {
        let hashes = |d: Option<&Definition>| -> Vec<u64> {
            match d.map(|d| &d.backing) {
                Some(Backing::Addresses(a)) => a.canonical().map(|a| self.index.hash(a)).collect(),
                _ => Vec::new(),
            }
        };
        retag(&self.index.cluster_addresses, slot, &hashes(old), &hashes(new));
    }

    pub(super) fn find_service(&self, owner: &[u8]) -> Option<u32> {
        let index = &self.index;
        index.service_names.find(index.hash(owner), |s| index.services.get(s).filter(|v| *v.owner == *owner).map(|_| s))
    }

    /// Whether the change from one definition to the other leaves the serial as it is (spec 10.4).
    fn same_for_serial(&self, old: &Definition, new: &Definition) -> bool {
        let headless = |d: &Definition| matches!(d.backing, Backing::Headless);
        let kept = self.cluster.is_none() || headless(old) == headless(new);
        kept && old.ports == new.ports && external_name(old) == external_name(new)
    }
}

impl Service {
    pub(super) fn with_definition(&self, definition: Option<Definition>) -> Service {
        Service {
            owner: self.owner.clone(),
            namespace: self.namespace.clone(),
            definition,
            slices: self.slices.clone(),
            overlap: self.overlap,
        }
    }
}

fn external_name(definition: &Definition) -> Option<&[u8]> {
    match &definition.backing {
        Backing::Name(name, entry::NameKind::External) => Some(name),
        _ => None,
    }
}
