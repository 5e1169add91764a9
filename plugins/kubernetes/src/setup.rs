//! The syntax of the directive.

mod advice;
mod properties;

use crate::Kubernetes;
use crate::cluster::{self, Cluster};
use crate::transfer::Copies;
use crate::zones::Zones;
use api::corefile::{ConfigError, Cursor};
use api::inputs::fingerprint;
use api::services::{External, Live, Metadata, SearchPath, Transfer};
use api::setup::Purpose;
use api::{Name, Setup, resolvconf};
use properties::Properties;
use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;

/// What is answered, apart from what the cluster holds.
pub struct Rules {
    /// Of all records but two kinds, in seconds (`ttl`).
    pub ttl: u32,
    /// Names of pods (`pods`).
    pub pods: Pods,
    /// Endpoints have names by their zones (`zonal`).
    pub zonal: bool,
    /// Services without ready endpoints do not exist (`ignore empty_service`).
    pub ignore_empty: bool,
    /// The only namespaces, sorted; none stands for all (`namespaces`).
    pub namespaces: Vec<String>,
    /// Where this server is to be found, loopback aside.
    pub local: Vec<IpAddr>,
    /// The domains that this machine searches, which pods search too.
    pub search: Vec<Name>,
}

/// Which names of pods are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pods {
    /// None.
    Disabled,
    /// Every address, whether or not a pod has it.
    Insecure,
    /// Those of pods that exist.
    Verified,
}

impl Rules {
    /// Whether the directive names a namespace, or names none; `label` in wire form.
    pub fn lists(&self, label: &[u8]) -> bool {
        let listed = || self.namespaces.binary_search_by(|n| n.as_bytes().cmp(label.get(1..).unwrap_or_default()));
        !self.names_namespaces() || listed().is_ok()
    }

    /// Whether the directive names namespaces.
    pub fn names_namespaces(&self) -> bool {
        !self.namespaces.is_empty()
    }
}

/// Reads the directive and begins to follow the cluster.
pub fn set_up(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut read = None;
    while c.next_once()? {
        read = Some((c.clone(), stanza(setup, &mut c)?));
    }
    let Some((directive, (zones, properties))) = read else { return Ok(()) };
    let config = properties.cluster(setup);
    let clock = setup.clock();
    // What cannot be connected to is named where the Corefile names it.
    let place = properties.source_at.as_ref().unwrap_or(&directive);
    let elsewhere = setup.purpose() == Purpose::Check && config.is_in_cluster();
    let follow = |tasks: &mut _| match elsewhere {
        // Only a pod has what is needed to connect.
        true => Ok(Cluster::empty(&config).0),
        false => Cluster::follow(&config, clock, tasks).map_err(|e| place.bare(e)),
    };
    let looked_at = config.clone();
    setup.depends_on(move || fingerprint(&looked_at.named()));
    let cluster = setup.carry(&format!("{config:?} {:?}", config.named()), follow)?;
    setup.gate(cluster::synced(cluster.clone(), properties.startup_timeout));
    let local = local_addresses(setup);
    let Properties { ttl, pods, zonal, ignore_empty, namespaces, fallthrough, .. } = properties;
    let rules = Rules { ttl, pods, zonal, ignore_empty, namespaces, local, search: search_domains() };
    advice::add(setup, &directive, &fallthrough);
    let plugin = Arc::new(Kubernetes { zones, rules, cluster });
    setup.offer::<Arc<dyn Live>>(plugin.clone());
    setup.offer::<Arc<dyn Metadata>>(plugin.clone());
    setup.offer::<Arc<dyn SearchPath>>(plugin.clone());
    setup.offer::<Arc<dyn Transfer>>(Arc::new(Copies(plugin.clone())));
    setup.offer::<Arc<dyn External>>(plugin.clone());
    setup.add(plugin);
    Ok(())
}

/// Reads the one line with its block.
fn stanza<'a>(setup: &Setup<'_>, c: &mut Cursor<'a>) -> Result<(Zones, Properties<'a>), ConfigError> {
    let names = setup.names_or(&c.remaining_args());
    let mut zones = Zones::new(&names).ok_or_else(|| c.bare("non-reverse zone name must be used"))?;
    let mut properties = Properties::default();
    while c.next_block() {
        properties.read(setup, c)?;
    }
    properties.check(c)?;
    if let Some(other) = properties.multicluster.iter().find(|zone| !names.contains(zone)) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        return Err(c.err(format!(
            "is not authoritative for the multicluster zone {other} (authoritative zones: [{}])",
            names.join(" ")
        )));
    }
    zones.set_multicluster(&properties.multicluster);
    zones.set_fallthrough(&properties.fallthrough);
    Ok((zones, properties))
}

/// The addresses of this machine; none with `bind` (spec 7.2).
fn local_addresses(setup: &mut Setup<'_>) -> Vec<IpAddr> {
    if setup.options().bind.is_some() {
        return Vec::new();
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|e| {
        tracing::warn!("cannot read this machine's addresses: {e}");
        Vec::new()
    });
    interfaces.into_iter().map(|i| i.ip()).filter(|a| !a.is_loopback()).collect()
}

/// The domains that this machine searches.
fn search_domains() -> Vec<Name> {
    File::open("/etc/resolv.conf").map(resolvconf::search).unwrap_or_default()
}
