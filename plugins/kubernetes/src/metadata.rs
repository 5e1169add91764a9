//! Values about a query that `metadata` hands on: what its name is made of, and which pod asks (spec 12).

use crate::Kubernetes;
use crate::answer::Zonal;
use crate::index::Pod;
use crate::setup::Pods;
use api::services::Metadata;
use api::{Name, NameRef, Query};

/// The label of a client's label, in front of its key.
pub const CLIENT_LABEL: &str = "client-label/";

impl Metadata for Kubernetes {
    fn value(&self, q: &Query, label: &str) -> Option<String> {
        let label = label.strip_prefix("kubernetes/")?;
        match label {
            "client-namespace" => self.client(q, |pod| Some(text(pod.namespace.label.get(1..)?))),
            "client-pod-name" => self.client(q, |pod| Some(String::from_utf8_lossy(&pod.name).into_owned())),
            _ => match label.strip_prefix(CLIENT_LABEL) {
                Some(key) => self.client(q, |pod| pod.labels.as_ref()?.get(key).map(str::to_owned)),
                None => self.part(q, label),
            },
        }
    }
}

impl Kubernetes {
    /// Tells something of the pod that asks, if it is known.
    fn client(&self, q: &Query, tell: impl Fn(&Pod) -> Option<String>) -> Option<String> {
        if self.rules.pods != Pods::Verified {
            return None;
        }
        let mut first = None;
        self.index().pod_address(q.client.ip().to_canonical(), |pod| {
            // One that the API writes in another form is found by nobody.
            pod.odd.is_none().then(|| first = tell(pod))
        });
        first
    }

    /// A part of the name asked for.
    fn part(&self, q: &Query, label: &str) -> Option<String> {
        let asked = q.asked_question();
        let (_, offset) = self.zones.find(asked.name())?;
        let labels = &asked.name().as_bytes()[..offset];
        let zonal = Some(labels).filter(|_| self.rules.zonal).and_then(Zonal::read);
        let parts = Parts::read(zonal.map_or(labels, |zonal| zonal.service));
        let part = match (label, parts) {
            ("parse-error", parts) => return parts.is_none().then(|| "invalid query name".to_owned()),
            ("kind", parts) => parts?.kind,
            ("namespace", parts) => parts?.namespace,
            ("service", parts) => parts?.service,
            ("endpoint", parts) => parts?.endpoint,
            ("port-name", parts) => parts?.port,
            ("protocol", parts) => parts?.protocol,
            ("zone", parts) if self.rules.zonal => {
                parts?;
                return Some(zonal.map_or_else(String::new, |zonal| presented(zonal.zone)));
            }
            _ => return None,
        };
        Some(text(part))
    }
}

/// The labels of a name without their lengths, empty where it has none of that kind. Those of a pod are called like those of a
/// service, and what stands in front of a cluster's name like port and protocol (CoreDNS behaviour).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Parts<'a> {
    kind: &'a [u8],
    namespace: &'a [u8],
    service: &'a [u8],
    endpoint: &'a [u8],
    port: &'a [u8],
    protocol: &'a [u8],
}

impl Parts<'_> {
    /// Reads the labels in front of a zone, in wire form; `None` where they mean nothing.
    fn read(labels: &[u8]) -> Option<Parts<'_>> {
        let (mut found, mut count, mut rest) = ([&[][..]; LABELS], 0, labels);
        while let Some((&length, behind)) = rest.split_first() {
            let (label, behind) = behind.split_at_checked(length.into())?;
            *found.get_mut(count)? = label;
            count += 1;
            rest = behind;
        }
        let kind = match &mut found[..count] {
            [] => return Some(Parts::default()),
            [b"svc" | b"pod"] => return Some(Parts::default()),
            [.., kind @ (b"svc" | b"pod")] => *kind,
            _ => return None,
        };
        let parts = Parts { kind, ..Parts::default() };
        Some(match found[..count - 1] {
            [namespace] => Parts { namespace, ..parts },
            [service, namespace] => Parts { namespace, service, ..parts },
            [endpoint, service, namespace] => Parts { namespace, service, endpoint, ..parts },
            [port, protocol, service, namespace] => {
                let plain = |label| <[u8]>::strip_prefix(label, b"_").unwrap_or(label);
                Parts { namespace, service, port: plain(port), protocol: plain(protocol), ..parts }
            }
            _ => return None,
        })
    }
}

/// Most labels in front of a zone.
const LABELS: usize = 5;

/// A label in presentation form.
fn text(label: &[u8]) -> String {
    if label.is_empty() { String::new() } else { presented(&[&[label.len() as u8], label].concat()) }
}

/// Labels in presentation form.
fn presented(labels: &[u8]) -> String {
    let name = Name::join(labels, NameRef::ROOT).map(|name| name.to_string());
    name.and_then(|text| text.strip_suffix('.').map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> Option<[String; 6]> {
        let name = Name::from_text(name).unwrap();
        let labels = name.as_bytes().strip_suffix(b"\0").unwrap();
        Parts::read(labels).map(|p| [p.kind, p.namespace, p.service, p.endpoint, p.port, p.protocol].map(text))
    }

    #[test]
    fn names_are_taken_apart() {
        for (name, want) in [
            (".", ["", "", "", "", "", ""]),
            ("svc", ["", "", "", "", "", ""]),
            ("pod", ["", "", "", "", "", ""]),
            ("d.svc", ["svc", "d", "", "", "", ""]),
            ("w.d.svc", ["svc", "d", "w", "", "", ""]),
            ("e.w.d.svc", ["svc", "d", "w", "e", "", ""]),
            ("_http._tcp.w.d.svc", ["svc", "d", "w", "", "http", "tcp"]),
            ("__a.b.w.d.svc", ["svc", "d", "w", "", "_a", "b"]),
            ("a.b.1-2-3-4.d.pod", ["pod", "d", "1-2-3-4", "", "a", "b"]),
            ("a\\.b.d.svc", ["svc", "d", "a\\.b", "", "", ""]),
        ] {
            assert_eq!(parts(name), Some(want.map(str::to_owned)), "{name}");
        }
        for name in ["x", "a.x", "a.b.c.w.d.svc", "dns-version", "a.b.c.d.e.f.g.svc"] {
            assert_eq!(parts(name), None, "{name}");
        }
    }
}
