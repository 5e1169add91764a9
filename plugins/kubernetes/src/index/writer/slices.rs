//! What a change of an EndpointSlice does to its service and to what leads to its endpoints.

use super::{Writer, retag};
use crate::index::entry::{Service, Slice};
use smallvec::SmallVec;
use std::sync::Arc;

impl Writer {
    /// Publishes a slice in the order that lets a reader miss nothing: the value, then what leads to it.
    pub(super) fn replace_slice(&mut self, slot: u32, old: Option<Arc<Slice>>, new: Option<Slice>) {
        let new = new.map(Arc::new);
        let overlaps = new.as_deref().is_some_and(|slice| self.overlaps(slot, slice));
        self.index.slices.set(slot, new.clone());
        let (hosts, addresses) = self.slice_hashes(old.as_deref());
        let (new_hosts, new_addresses) = self.slice_hashes(new.as_deref());
        retag(&self.index.hosts, slot, &hosts, &new_hosts);
        retag(&self.index.endpoint_addresses, slot, &addresses, &new_addresses);
        let (from, to) = (owner_of(old.as_deref()), owner_of(new.as_deref()));
        if from != to
            && let Some(service) = from.and_then(|owner| self.find_service(owner))
        {
            self.detach(service, slot);
        }
        if let Some(service) = to.and_then(|owner| self.service_slot(owner)) {
            self.attach(service, slot, overlaps);
        }
    }

    fn attach(&mut self, service: u32, slice: u32, overlaps: bool) {
        let Some(old) = self.index.services.get_full(service) else { return };
        let known = old.slices.contains(&slice);
        if known && (old.overlap || !overlaps) {
            return;
        }
        let mut slices = old.slices.clone();
        if !known {
            slices.push(slice);
        }
        let overlap = overlaps || old.overlap;
        let service_value = Service { slices, overlap, ..old.with_definition(old.definition.clone()) };
        self.publish_service(service, service_value);
    }

    fn detach(&mut self, service: u32, slice: u32) {
        let Some(old) = self.index.services.get_full(service) else { return };
        let slices: SmallVec<_> = old.slices.iter().copied().filter(|&s| s != slice).collect();
        let overlap = old.overlap && slices.len() > 1;
        let service_value = Service { slices, overlap, ..old.with_definition(old.definition.clone()) };
        self.publish_service(service, service_value);
    }

    /// Whether another slice of the same service has one of the addresses.
    fn overlaps(&self, slot: u32, slice: &Slice) -> bool {
        let index = &self.index;
        let another =
            |s: u32| (s != slot && index.slices.get(s).is_some_and(|o| o.service() == slice.service())).then_some(());
        slice.addresses.canonical().any(|a| index.endpoint_addresses.find(index.hash(a), another).is_some())
    }

    pub(super) fn remove_slice(&mut self, slot: u32, now: u32) {
        let Some(old) = self.index.slices.get_full(slot) else { return };
        self.counts(now);
        self.slice_names.remove(self.identity(&old.name, &old.namespace.label), slot);
        self.replace_slice(slot, Some(old), None);
        self.slices.free.put(slot);
    }

    /// Hashes of the host names and of the addresses that lead to a slice.
    fn slice_hashes(&self, slice: Option<&Slice>) -> (Vec<u64>, Vec<u64>) {
        let Some(slice) = slice.filter(|s| owner_of(Some(s)).is_some()) else { return Default::default() };
        let written = (0..slice.len()).map(|e| slice.written_host(e)).filter(|h| !h.is_empty());
        let hosts = written.map(|host| {
            let mut name = [host, &*slice.owner].concat();
            let hosts = name.len() - slice.service().len();
            name[..hosts].make_ascii_lowercase();
            self.index.hash(&*name)
        });
        (hosts.collect(), slice.addresses.canonical().map(|a| self.index.hash(a)).collect())
    }

    pub(super) fn find_slice(&self, name: &[u8], namespace: &[u8]) -> Option<u32> {
        self.slice_names.find(self.identity(name, namespace), |slot| {
            let slice = self.index.slices.get(slot)?;
            (*slice.name == *name && *slice.namespace.label == *namespace).then_some(slot)
        })
    }
}

/// The owner of a slice that has one: a slice without a service's label leads nowhere.
fn owner_of(slice: Option<&Slice>) -> Option<&[u8]> {
    slice.map(|s| s.service()).filter(|owner| !owner.is_empty())
}
