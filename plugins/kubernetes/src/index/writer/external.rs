//! What a change of a Service does to what is seen of it from outside of the cluster.

use super::convert::{address, wire_name};
use super::{FULL, Writer, retag};
use crate::index::addresses::Addresses;
use crate::index::entry::{Definition, first_label};
use crate::index::external::External;
use crate::objects;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Writer {
    /// Keeps what is seen of the service called `owner`, whose definition is about to become `definition`.
    pub(super) fn put_external(
        &mut self,
        owner: &[u8],
        definition: &Definition,
        object: &objects::Service<'_>,
        now: u32,
    ) {
        let index = self.index.clone();
        let Some(all) = &index.externals else { return };
        let (slot, before) = self.find_external(owner).unzip();
        let after = self.external(owner, definition, object);
        let same = match (&before, &after) {
            (Some(before), Some(after)) => before.addresses == after.addresses && before.names == after.names,
            (before, after) => before.is_none() && after.is_none(),
        };
        // Only what happens to a service that is known counts (spec 10.4).
        let known = index.service(owner);
        let known = known.as_ref().and_then(|service| service.definition.as_ref());
        if known.is_some_and(|d| !same || d.ports != definition.ports) {
            all.serial.store(now, Ordering::Relaxed);
        }
        self.publish_external(slot, before, after);
    }

    /// Forgets what is seen of a service.
    pub(super) fn remove_external(&mut self, owner: &[u8]) {
        let (slot, before) = self.find_external(owner).unzip();
        self.publish_external(slot, before, None);
    }

    fn publish_external(&mut self, slot: Option<u32>, before: Option<Arc<External>>, after: Option<External>) {
        let index = self.index.clone();
        let Some(all) = &index.externals else { return };
        if before.as_deref() == after.as_ref() {
            return;
        }
        let Some(slot) = slot.or_else(|| self.external_slots.take()) else { return self.remark(FULL.into()) };
        let after = after.map(Arc::new);
        let hashes = |of: Option<&External>| -> (Vec<u64>, Vec<u64>) {
            let addresses = of.into_iter().flat_map(|e| e.addresses.canonical()).map(|a| index.hash(a)).collect();
            (of.into_iter().map(|e| index.hash(&*e.owner)).collect(), addresses)
        };
        let (names, addresses) = hashes(before.as_deref());
        let (new_names, new_addresses) = hashes(after.as_deref());
        let gone = after.is_none();
        all.services.set(slot, after);
        retag(&all.names, slot, &names, &new_names);
        retag(&all.addresses, slot, &addresses, &new_addresses);
        if gone {
            self.external_slots.put(slot);
        }
    }

    /// What is seen of a service; `None` where nothing is.
    fn external(&mut self, owner: &[u8], definition: &Definition, object: &objects::Service<'_>) -> Option<External> {
        let ingress = object.status.load_balancer.ingress.iter();
        let ingress = ingress.map(|i| if i.ip.is_empty() { &i.hostname } else { &i.ip });
        let (mut v4, mut v6, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for text in object.spec.external_ips.iter().chain(ingress) {
            match address(text) {
                Some((IpAddr::V4(a), odd)) => v4.push((a.octets(), odd)),
                Some((IpAddr::V6(a), odd)) => v6.push((a.octets(), odd)),
                None => match wire_name(text) {
                    Some(name) => names.push(name.into()),
                    None => self.remark(format!("status.loadBalancer: {:?} is neither address nor name", &**text)),
                },
            }
        }
        if v4.is_empty() && v6.is_empty() && names.is_empty() {
            return None;
        }
        let (_, namespace) = self.namespace(&owner[first_label(owner).len()..])?;
        let (owner, ports) = (owner.into(), definition.ports.clone());
        Some(External { owner, namespace, ports, addresses: Addresses::new(&v4, &v6), names: names.into() })
    }

    fn find_external(&self, owner: &[u8]) -> Option<(u32, Arc<External>)> {
        let all = self.index.externals.as_ref()?;
        all.names.find(self.index.hash(owner), |slot| {
            all.services.get_full(slot).filter(|s| *s.owner == *owner).map(|s| (slot, s))
        })
    }
}
