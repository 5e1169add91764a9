//! The cluster index: what answers are written from, always live, never waited for.
//!
//! Readers hash the lower-case wire name as it stands in the question and come to the service in two loads; they take
//! no lock and touch no shared counter. One [`Writer`] changes it, value by value: a reader sees each value whole,
//! as it was before or as it is after.

mod addresses;
mod endpoints;
mod entry;
mod external;
mod labels;
mod slots;
mod tags;
mod weight;
mod writer;

#[cfg(test)]
mod tests;

pub use addresses::{AddressText, Addresses, HostSpace};
pub use endpoints::Endpoints;
pub use entry::{Backing, Definition, NameKind, Namespace, Pod, Port, Service, Slice, host_tag};
pub use external::External;
pub use labels::KeptLabels;
pub use slots::Found;
pub use writer::{Kind, Options, Writer};

use api::name::same_octets;
use external::Externals;
use slots::Slots;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use tags::Tags;

/// What is known about a cluster; made with its one [`Writer`] by [`Index::new`].
pub struct Index {
    hasher: foldhash::fast::RandomState,
    services: Slots<Service>,
    service_names: Tags,
    cluster_addresses: Tags,
    slices: Slots<Slice>,
    hosts: Tags,
    endpoint_addresses: Tags,
    pods: Slots<Pod>,
    pod_addresses: Tags,
    namespaces: Slots<Namespace>,
    namespace_names: Tags,
    externals: Option<Box<Externals>>,
    serial: AtomicU32,
    unsynced: AtomicU8,
    restored: AtomicBool,
}

impl Index {
    /// An empty index and what fills it; `kinds` are those that must be listed once before it is whole.
    pub fn new(kinds: &[Kind], options: Options) -> (Arc<Index>, Writer) {
        let index = Arc::new(Index::empty(kinds, options));
        (index.clone(), Writer::new(index, None, options))
    }

    /// An empty index of what other clusters export to this one, beside the index of the cluster itself, which alone knows
    /// the namespaces.
    pub fn of_imports(cluster: Arc<Index>, kinds: &[Kind], options: Options) -> (Arc<Index>, Writer) {
        let index = Arc::new(Index::empty(kinds, options));
        (index.clone(), Writer::new(index, Some(cluster), options))
    }

    fn empty(kinds: &[Kind], options: Options) -> Index {
        Index {
            hasher: foldhash::fast::RandomState::default(),
            services: Slots::new(),
            service_names: Tags::new(),
            cluster_addresses: Tags::new(),
            slices: Slots::new(),
            hosts: Tags::new(),
            endpoint_addresses: Tags::new(),
            pods: Slots::new(),
            pod_addresses: Tags::new(),
            namespaces: Slots::new(),
            namespace_names: Tags::new(),
            externals: options.external.then(|| Box::new(Externals::new())),
            serial: AtomicU32::new(0),
            unsynced: AtomicU8::new(kinds.iter().fold(0, |bits, k| bits | k.bit())),
            restored: AtomicBool::new(false),
        }
    }

    /// Whether it is whole: everything has been listed once, or is as a snapshot has it.
    pub fn synced(&self) -> bool {
        self.listed() || self.restored.load(Ordering::Acquire)
    }

    /// Whether everything has been listed once.
    pub fn listed(&self) -> bool {
        self.unsynced.load(Ordering::Acquire) == 0
    }

    /// A number that is another one when something has changed.
    pub fn revision(&self) -> u64 {
        self.services.changes() + self.slices.changes() + self.pods.changes() + self.namespaces.changes()
    }

    /// Octets that objects of a kind take here.
    pub fn bytes(&self, kind: Kind) -> usize {
        match kind {
            Kind::Service | Kind::ServiceImport => {
                self.services.bytes() + self.externals.as_ref().map_or(0, |all| all.services.bytes())
            }
            Kind::EndpointSlice | Kind::ImportedSlice => self.slices.bytes(),
            Kind::Namespace => self.namespaces.bytes(),
            Kind::Pod => self.pods.bytes(),
        }
    }

    /// All services, and names of which only slices are known.
    pub fn all_services(&self) -> impl Iterator<Item = Found<Service>> {
        self.services.all()
    }

    /// All slices.
    pub fn all_slices(&self) -> impl Iterator<Item = Found<Slice>> {
        self.slices.all()
    }

    /// All pods that have an address.
    pub fn all_pods(&self) -> impl Iterator<Item = Found<Pod>> {
        self.pods.all()
    }

    /// All namespaces that something is in, or that exist.
    pub fn all_namespaces(&self) -> impl Iterator<Item = Found<Namespace>> {
        self.namespaces.all()
    }

    /// Unix time of the last relevant change, 0 before the first (spec 10.4).
    pub fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// What is known under `owner`: the labels of service and namespace, lower-case, in wire form without the root.
    pub fn service(&self, owner: &[u8]) -> Option<Found<Service>> {
        self.service_names
            .find(self.hash(owner), |slot| self.services.get(slot).filter(|s| same_octets(&s.owner, owner)))
    }

    /// The service of a slice.
    pub fn service_of(&self, slice: &Slice) -> Option<Found<Service>> {
        self.service(slice.service())
    }

    /// The slices of a service.
    pub fn slices_of(&self, service: &Service) -> impl Iterator<Item = Found<Slice>> {
        service
            .slices
            .iter()
            .filter_map(|&slot| self.slices.get(slot))
            .filter(|s| same_octets(s.service(), &service.owner))
    }

    /// All services, by name, then by namespace, to keep.
    pub fn services_by_name(&self) -> Vec<Arc<Service>> {
        let mut all: Vec<_> = self.all_services().map(Found::keep).collect();
        let labels = |service: &Arc<Service>| {
            let (name, namespace) = service.owner.split_at(entry::first_label(&service.owner).len());
            (name.get(1..).map(<[u8]>::to_vec), namespace.to_vec())
        };
        all.sort_by_cached_key(labels);
        all
    }

    /// Calls `look` with each service that has this cluster address, until it returns something.
    pub fn cluster_address<R>(&self, address: IpAddr, mut look: impl FnMut(&Service) -> Option<R>) -> Option<R> {
        self.cluster_addresses.find(self.hash(address), |slot| {
            let service = self.services.get(slot)?;
            service.definition.as_ref().is_some_and(|d| d.backing.contains(address)).then(|| look(&service))?
        })
    }

    /// Calls `look` with each entry of a slice that has this address, until it returns something.
    pub fn endpoint_address<R>(&self, address: IpAddr, mut look: impl FnMut(&Slice, usize) -> Option<R>) -> Option<R> {
        self.endpoint_addresses.find(self.hash(address), |slot| {
            let slice = self.slices.get(slot)?;
            slice.entries_at(address).find_map(|entry| look(&slice, entry))
        })
    }

    /// Calls `look` with each pod that has this address, until it returns something.
    pub fn pod_address<R>(&self, address: IpAddr, mut look: impl FnMut(&Pod) -> Option<R>) -> Option<R> {
        self.pod_addresses.find(self.hash(address), |slot| {
            let pod = self.pods.get(slot)?;
            (pod.address == address).then(|| look(&pod))?
        })
    }

    /// Whether a namespace exists; `label` is its lower-case wire label.
    pub fn namespace_exists(&self, label: &[u8]) -> bool {
        let found = self.namespace_names.find(self.hash(label), |slot| {
            let namespace = self.namespaces.get(slot)?;
            (*namespace.label == *label).then(|| namespace.exists())
        });
        found.unwrap_or(false)
    }

    fn hash(&self, name: impl Hash) -> u64 {
        self.hasher.hash_one(name)
    }
}

impl Backing {
    fn contains(&self, address: IpAddr) -> bool {
        matches!(self, Backing::Addresses(addresses) if addresses.find(address).next().is_some())
    }
}
