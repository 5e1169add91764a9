//! Endpoints by their name.

use super::addresses::address_of_host;
use super::entry::first_label;
use super::{Found, Index, Slice};
use api::name::same_letters;
use smallvec::SmallVec;

/// What a name of endpoints stands for: slices, as they were when it was looked up, each with those of its entries that have the name.
#[derive(Default)]
pub struct Endpoints(SmallVec<[(Found<Slice>, Entries); 2]>);

/// Numbers of entries of a slice.
type Entries = SmallVec<[u32; 4]>;

impl Endpoints {
    /// Whether the name stands for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, each with its slice.
    pub fn iter(&self) -> impl Iterator<Item = (&Slice, usize)> {
        self.0.iter().flat_map(|(slice, entries)| entries.iter().map(|&entry| (&**slice, entry as usize)))
    }

    fn add(&mut self, slice: Found<Slice>, entries: Entries) {
        if !entries.is_empty() {
            self.0.push((slice, entries));
        }
    }
}

impl Index {
    /// The entries of a service's slices whose host is the first label of `name`: the labels of host, cluster (of what is imported),
    /// service and namespace, lower-case, in wire form without the root.
    pub fn endpoints(&self, name: &[u8]) -> Endpoints {
        let host = first_label(name);
        let owner = &name[host.len()..];
        let mut found = Endpoints::default();
        self.hosts.find(self.hash(name), |slot| {
            let slice = self.slice_of(slot, owner)?;
            let mut entries = Entries::new();
            slice.entries_called(host).for_each(|entry| entries.push(entry as u32));
            found.add(slice, entries);
            None::<()>
        });
        if let Some(address) = address_of_host(host) {
            self.endpoint_addresses.find(self.hash(address), |slot| {
                let slice = self.slice_of(slot, owner)?;
                let mut entries = Entries::new();
                slice.entries_called_after(address).for_each(|entry| entries.push(entry as u32));
                found.add(slice, entries);
                None::<()>
            });
        }
        found
    }

    /// The slice at `slot`, if the names of its endpoints end in `owner`.
    fn slice_of(&self, slot: u32, owner: &[u8]) -> Option<Found<Slice>> {
        self.slices.get(slot).filter(|slice| same_letters(&slice.owner, owner))
    }
}
