//! PTR records (spec 7.1).

use super::{Request, Verdict};
use crate::Kubernetes;
use crate::index::{HostSpace, Namespace};
use api::name::NameBuf;
use api::{NameRef, Owner, RecordType, Reply, Section};
use std::net::IpAddr;

impl Kubernetes {
    /// The names of the address asked for.
    pub(super) fn pointers(&self, request: &Request<'_>, reply: &mut Reply) -> Verdict {
        let Some(address) = request.question.name().reverse_address() else {
            return self.find_record(&request.asked()).into();
        };
        if !self.service_pointer(address, reply) {
            self.endpoint_pointers(address, reply);
        }
        if reply.records().len() == 0 { Verdict::NoSuchName } else { Verdict::Answered }
    }

    /// Whether an address has a name.
    pub(super) fn has_pointer(&self, address: IpAddr) -> bool {
        let here = |namespace: &Namespace| self.points_into(namespace).then_some(());
        let service = self.index().cluster_address(address, |service| here(&service.namespace));
        service.or_else(|| self.index().endpoint_address(address, |slice, _| here(&slice.namespace))).is_some()
    }

    /// The name of one service that has this cluster address.
    fn service_pointer(&self, address: IpAddr, reply: &mut Reply) -> bool {
        let found = self.index().cluster_address(address, |service| {
            self.points_into(&service.namespace).then(|| self.pointer([&[], &service.owner], reply))
        });
        found.is_some()
    }

    /// The names of all endpoints that have this address.
    fn endpoint_pointers(&self, address: IpAddr, reply: &mut Reply) {
        self.index().endpoint_address(address, |slice, entry| {
            if self.points_into(&slice.namespace) {
                let mut space = HostSpace::default();
                self.pointer([slice.host(entry, &mut space), slice.service()], reply);
            }
            reply.overflowed().then_some(())
        });
    }

    fn pointer(&self, [host, owner]: [&[u8]; 2], reply: &mut Reply) {
        let mut target = NameBuf::default();
        if let Some(target) = target.join(&[host, owner, b"\x03svc"], self.zones.primary())
            && !holds(reply, target)
        {
            reply.push(Section::Answer, Owner::Question, RecordType::PTR, self.rules.ttl, |d| d.name(target));
        }
    }

    /// Whether addresses have names in a namespace: all have them where the directive names no namespaces.
    pub(super) fn points_into(&self, namespace: &Namespace) -> bool {
        !self.rules.names_namespaces() || (namespace.exists() && self.rules.lists(&namespace.label))
    }
}

fn holds(reply: &Reply, target: NameRef<'_>) -> bool {
    reply.records().any(|r| r.raw_data() == target.as_bytes())
}
