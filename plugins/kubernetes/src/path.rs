//! In which domains pods look for names: what kubelet writes into their resolv.conf.

use crate::Kubernetes;
use crate::setup::Pods;
use api::name::NameBuf;
use api::services::SearchPath;
use api::{Name, NameRef};
use std::net::IpAddr;

impl SearchPath for Kubernetes {
    fn directive(&self) -> &'static str {
        "kubernetes"
    }

    fn domain<'a>(
        &'a self,
        client: IpAddr,
        name: NameRef<'_>,
        number: usize,
        space: &'a mut NameBuf,
    ) -> Option<NameRef<'a>> {
        let zone = self.zones.find(name)?.0.name.as_ref();
        match number {
            0 => self.first_domain(client, name, zone, space),
            1 => space.join(&[b"\x03svc"], zone),
            2 => Some(zone),
            _ => self.rules.search.get(number - 3).map(Name::as_ref),
        }
    }

    fn lacks(&self) -> Option<&'static str> {
        (self.rules.pods != Pods::Verified).then_some("kubernetes has to know the pods: `pods verified`")
    }
}

impl Kubernetes {
    /// `NS.svc.ZONE` of the client's pod, if `name` is in it. Pods of several namespaces may have the address of their node.
    fn first_domain<'a>(
        &self,
        client: IpAddr,
        name: NameRef<'_>,
        zone: NameRef<'_>,
        space: &'a mut NameBuf,
    ) -> Option<NameRef<'a>> {
        if self.rules.pods != Pods::Verified {
            return None;
        }
        self.index().pod_address(client.to_canonical(), |pod| {
            let domain = space.join(&[&pod.namespace.label, b"\x03svc"], zone)?;
            (pod.odd.is_none() && name.is_below(domain)).then_some(())
        })?;
        Some(space.get())
    }
}
