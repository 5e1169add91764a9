//! What services are seen as from outside of the cluster; kept only where somebody asks for it.

use super::addresses::Addresses;
use super::entry::{Namespace, Port};
use super::slots::{Found, Slots};
use super::tags::Tags;
use super::{Index, Ordering};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// A service that has addresses outside of the cluster: its external addresses, and those of its load balancers.
#[derive(PartialEq)]
pub struct External {
    /// As of [`super::Service::owner`].
    pub owner: Box<[u8]>,
    /// The namespace it is in.
    pub namespace: Arc<Namespace>,
    /// Those of its definition.
    pub ports: Arc<[Port]>,
    /// Its addresses.
    pub addresses: Addresses,
    /// Names in wire form that stand where addresses could be.
    pub names: Box<[Box<[u8]>]>,
}

/// All of them.
pub(super) struct Externals {
    pub services: Slots<External>,
    pub names: Tags,
    pub addresses: Tags,
    pub serial: AtomicU32,
}

impl Externals {
    pub fn new() -> Self {
        Externals { services: Slots::new(), names: Tags::new(), addresses: Tags::new(), serial: AtomicU32::new(0) }
    }
}

impl Index {
    /// What is seen from outside of the service called `owner`, whose labels are in lower case; `None` where nothing is.
    pub fn external(&self, owner: &[u8]) -> Option<Found<External>> {
        let all = self.externals.as_ref()?;
        all.names.find(self.hash(owner), |slot| all.services.get(slot).filter(|s| *s.owner == *owner))
    }

    /// Calls `look` with each service that has this address outside of the cluster, until it returns something.
    pub fn external_address<R>(&self, address: IpAddr, mut look: impl FnMut(&External) -> Option<R>) -> Option<R> {
        let all = self.externals.as_ref()?;
        all.addresses.find(self.hash(address), |slot| {
            let service = all.services.get(slot)?;
            service.addresses.find(address).next().and_then(|_| look(&service))
        })
    }

    /// Unix time of the last change of what is seen from outside, 0 before the first (spec 10.4).
    pub fn external_serial(&self) -> u32 {
        self.externals.as_ref().map_or(0, |all| all.serial.load(Ordering::Relaxed))
    }
}
