//! How much memory the objects of a kind take: what they hold, and the entries that lead to them.

use super::addresses::Addresses;
use super::entry::{Backing, Namespace, Pod, Service, Slice};
use super::external::External;
use smallvec::{Array, SmallVec};
use std::sync::Arc;

/// Something that is kept in a slot.
pub trait Weigh {
    /// Octets, with the entries of tables that lead to it; what it shares with others aside.
    fn bytes(&self) -> usize;
}

/// An entry of [`super::tags::Tags`], with the room beside it, on average.
const TAG: usize = 20;
/// The pointer in a slot, and the counts of an `Arc`.
const SLOT: usize = 8 + 16;

/// What an allocation of so many octets takes: a header of 8, all in steps of 16 and 32 at least (glibc, musl alike).
fn heap(octets: usize) -> usize {
    if octets == 0 { 0 } else { (octets + 8).next_multiple_of(16).max(32) }
}

/// What a list takes that is too long to stand in the value it belongs to.
fn spilled<A: Array>(list: &SmallVec<A>) -> usize {
    if list.spilled() { heap(size_of_val(&**list)) } else { 0 }
}

/// A value on its own, behind an `Arc` in a slot.
fn own<T>() -> usize {
    SLOT + heap(size_of::<T>()).saturating_sub(8)
}

impl Weigh for Service {
    fn bytes(&self) -> usize {
        let backing = match self.definition.as_ref().map(|definition| &definition.backing) {
            Some(Backing::Addresses(addresses)) => addresses.bytes() + addresses.len() * TAG,
            Some(Backing::Name(name, _)) => heap(name.len()),
            Some(Backing::Headless | Backing::Nothing) | None => 0,
        };
        own::<Service>() + TAG + spilled(&self.owner) + spilled(&self.slices) + backing
    }
}

impl Weigh for External {
    fn bytes(&self) -> usize {
        let named: usize = self.names.iter().map(|name| heap(name.len()) + size_of::<Box<[u8]>>()).sum();
        let tags = TAG * (1 + self.addresses.len());
        own::<External>() + heap(self.owner.len()) + self.addresses.bytes() + named + tags
    }
}

impl Weigh for Slice {
    fn bytes(&self) -> usize {
        let named: usize = self.names.iter().map(|name| heap(name.len()) + size_of::<Box<[u8]>>()).sum();
        let tags = TAG * (1 + self.len() + self.written_hosts());
        own::<Slice>()
            + heap(self.name.len())
            + heap(self.owner.len())
            + self.addresses.bytes()
            + self.label_bytes()
            + named
            + tags
    }
}

impl Weigh for Pod {
    fn bytes(&self) -> usize {
        own::<Pod>() + 2 * TAG + heap(self.name.len()) + heap(self.odd.as_ref().map_or(0, |odd| odd.len()))
    }
}

impl Weigh for Namespace {
    fn bytes(&self) -> usize {
        own::<Namespace>() + TAG + heap(self.label.len())
    }
}

impl Addresses {
    /// Octets on the heap.
    pub fn bytes(&self) -> usize {
        spilled(&self.octets)
    }
}

impl Slice {
    /// How many entries have a host label that does not follow from their address.
    fn written_hosts(&self) -> usize {
        (0..self.len()).filter(|&entry| !self.written_host(entry).is_empty()).count()
    }

    /// Octets of host labels, and of the numbers of zones.
    fn label_bytes(&self) -> usize {
        let labels: usize = (0..self.len()).map(|entry| self.written_host(entry).len()).sum();
        let hosts = if labels == 0 { 0 } else { heap(48) + heap(2 * self.len()) + heap(4 * self.len()) + heap(labels) };
        let zoned = (0..self.len()).any(|entry| self.zone(entry).is_some());
        hosts + if zoned { heap(32) + heap(size_of::<Arc<[u8]>>()) + heap(2 * self.len()) } else { 0 }
    }
}
