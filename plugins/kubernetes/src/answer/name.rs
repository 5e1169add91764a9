//! What the labels in front of a zone mean (spec 2).

use crate::index::Port;
use smallvec::SmallVec;

/// A name below a zone, read from its labels. Labels are lower-case, in wire form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Node<'a> {
    /// The zone itself, `svc` or `pod`: exists, and has no records of its own.
    Branch,
    /// `NS.svc` or `NS.pod`.
    Namespace(Tree, &'a [u8]),
    /// A name of a service or of something below it.
    Service {
        /// The labels of service and namespace.
        owner: &'a [u8],
        /// What stands in front of them.
        below: Below<'a>,
    },
    /// Endpoints of a service in a zone of the cluster.
    Zonal(Zonal<'a>),
    /// `IP.NS.pod`.
    Pod {
        /// The labels of address and namespace.
        pod: &'a [u8],
        /// The label of the namespace.
        namespace: &'a [u8],
    },
    /// A name that means nothing.
    Nothing,
}

/// The two trees of a cluster zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tree {
    Services,
    Pods,
}

/// Which names a zone has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grammar {
    /// Those of one cluster.
    Plain,
    /// The same, with endpoints by the zones that they are in.
    Zonal,
    /// Endpoints may stand in front of the name of a cluster.
    Multicluster,
}

/// A name of those endpoints of a service that are in one zone: `ZONE.pin._zone.SVC.NS.svc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zonal<'a> {
    /// The labels of service and namespace.
    pub owner: &'a [u8],
    /// All labels of the service's own name.
    pub service: &'a [u8],
    /// The labels of the zone, one or more.
    pub zone: &'a [u8],
    /// Whether all endpoints are meant where there are none in the zone.
    pub prefer: bool,
}

impl Zonal<'_> {
    /// Reads the labels in front of a zone, if they have this form.
    pub fn read(labels: &[u8]) -> Option<Zonal<'_>> {
        let (mut starts, mut count, mut at) = ([0; LABELS], 0, 0);
        while at < labels.len() {
            starts[count % LABELS] = at;
            count += 1;
            at += usize::from(labels[at]) + 1;
        }
        // The start of the label with this number, counted from the zone.
        let start = |number: usize| count.checked_sub(number).map(|i| starts[i % LABELS]);
        let (top, service, directive) = (start(1)?, start(3)?, start(5)?);
        let prefer = match &labels[directive..service] {
            b"\x03pin\x05_zone" => false,
            b"\x06prefer\x05_zone" => true,
            _ => return None,
        };
        let known = labels[top..] == *b"\x03svc" && directive > 0;
        known.then(|| Zonal {
            owner: &labels[service..top],
            service: &labels[service..],
            zone: &labels[..directive],
            prefer,
        })
    }
}

/// What stands in front of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Below<'a> {
    /// Nothing, or port and protocol.
    Ports(Ports<'a>),
    /// A host; the labels of host, cluster (of what is imported), service and namespace.
    Endpoint(&'a [u8]),
}

/// Which ports are asked for; an empty text stands for any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports<'a> {
    port: &'a [u8],
    protocol: &'a [u8],
}

/// Labels in front of a zone: `PORT.PROTO.SVC.NS.svc` has most.
const LABELS: usize = 5;

impl Node<'_> {
    /// Reads the labels in front of a zone.
    pub fn read(labels: &[u8], grammar: Grammar) -> Node<'_> {
        if grammar == Grammar::Zonal
            && let Some(zonal) = Zonal::read(labels)
        {
            return Node::Zonal(zonal);
        }
        let (mut starts, mut count, mut at) = ([0; LABELS], 0, 0);
        while at < labels.len() {
            let Some(start) = starts.get_mut(count) else { return Node::Nothing };
            *start = at;
            count += 1;
            at += usize::from(labels[at]) + 1;
        }
        // The start of the label with this number, counted from the zone.
        let start = |number: usize| count.checked_sub(number).map(|i| starts[i]);
        let Some(top) = start(1) else { return Node::Branch };
        let tree = match &labels[top..] {
            b"\x03svc" => Tree::Services,
            b"\x03pod" => Tree::Pods,
            _ => return Node::Nothing,
        };
        let Some(namespace) = start(2) else { return Node::Branch };
        let Some(service) = start(3) else { return Node::Namespace(tree, &labels[namespace..top]) };
        let owner = &labels[service..top];
        if tree == Tree::Pods {
            return Node::Pod { pod: owner, namespace: &labels[namespace..top] };
        }
        let below = match (start(4), start(5)) {
            (None, _) => Below::Ports(Ports::ANY),
            (Some(host), None) => Below::Endpoint(&labels[host..top]),
            (Some(protocol), Some(port)) => {
                let (first, second) = (&labels[port + 1..protocol], &labels[protocol + 1..service]);
                let underscored = first.starts_with(b"_") || second.starts_with(b"_");
                if grammar == Grammar::Multicluster && !underscored {
                    Below::Endpoint(&labels[port..top])
                } else {
                    Below::Ports(Ports { port: without_underscore(first), protocol: without_underscore(second) })
                }
            }
        };
        Node::Service { owner, below }
    }
}

impl<'a> Ports<'a> {
    /// Those of this name and protocol.
    pub fn of(port: &'a [u8], protocol: &'a [u8]) -> Ports<'a> {
        Ports { port, protocol }
    }

    /// All ports, also those of an object that has none.
    pub const ANY: Ports<'static> = Ports { port: b"", protocol: b"" };

    /// Those among `ports` that are asked for.
    pub fn among(self, ports: &[Port]) -> impl Iterator<Item = &Port> {
        ports.iter().filter(move |p| matches(self.port, &p.name) && matches(self.protocol, &p.protocol))
    }

    /// How many of `ports` are asked for; an object without ports counts as one port without name, protocol and number.
    pub fn count(self, ports: &[Port]) -> usize {
        if self.are_any() { ports.len().max(1) } else { self.among(ports).count() }
    }

    /// How many of `ports` are asked for, as [`Ports::count`] has it, and the numbers of these, each once.
    pub fn numbers(self, ports: &[Port]) -> (usize, Numbers) {
        let (mut count, mut numbers) = (usize::from(ports.is_empty() && self.are_any()), Numbers::new());
        for port in self.among(ports) {
            count += 1;
            if let Some(number) = port.number.filter(|number| !numbers.contains(number)) {
                numbers.push(number);
            }
        }
        (count, numbers)
    }

    /// Whether one of `ports` is asked for, or there are none and none is asked for.
    pub fn are_in(self, ports: &[Port]) -> bool {
        self.are_any() || self.among(ports).next().is_some()
    }

    /// Whether any port is meant.
    pub fn are_any(self) -> bool {
        self.port.is_empty() && self.protocol.is_empty()
    }
}

/// Numbers of ports.
pub type Numbers = SmallVec<[u16; 8]>;

/// Whether `name`, whatever its letters, is `asked`, which is lower-case, or any is.
fn matches(asked: &[u8], name: &[u8]) -> bool {
    let same = || asked.len() == name.len() && asked.iter().zip(name).all(|(a, n)| *a == n.to_ascii_lowercase());
    asked.is_empty() || same()
}

/// A label without its length octet, as ports and endpoints may be asked for.
pub fn without_underscore(label: &[u8]) -> &[u8] {
    label.strip_prefix(b"_").unwrap_or(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Name;

    #[test]
    fn names_are_read_from_the_zone_upwards() {
        let ports = |port, protocol| Below::Ports(Ports { port, protocol });
        let owner = &b"\x01w\x01n"[..];
        for (text, node) in [
            ("", Node::Branch),
            ("svc", Node::Branch),
            ("pod", Node::Branch),
            ("x", Node::Nothing),
            ("w.n.x", Node::Nothing),
            ("n.svc", Node::Namespace(Tree::Services, b"\x01n")),
            ("n.pod", Node::Namespace(Tree::Pods, b"\x01n")),
            ("w.n.svc", Node::Service { owner, below: ports(b"", b"") }),
            ("e.w.n.svc", Node::Service { owner, below: Below::Endpoint(b"\x01e\x01w\x01n") }),
            ("_http._tcp.w.n.svc", Node::Service { owner, below: ports(b"http", b"tcp") }),
            ("http.tcp.w.n.svc", Node::Service { owner, below: ports(b"http", b"tcp") }),
            ("__a._.w.n.svc", Node::Service { owner, below: ports(b"_a", b"") }),
            ("x._http._tcp.w.n.svc", Node::Nothing),
            ("x.y.w.n.pod", Node::Pod { pod: owner, namespace: b"\x01n" }),
            ("x.y.z.w.n.pod", Node::Nothing),
        ] {
            let name = if text.is_empty() { Name::root() } else { Name::from_text(text).unwrap() };
            let (_, labels) = name.as_bytes().split_last().unwrap();
            assert_eq!(Node::read(labels, Grammar::Plain), node, "{text}");
        }
    }

    #[test]
    fn clusters_stand_in_front_of_imports() {
        let ports = |port, protocol| Below::Ports(Ports { port, protocol });
        for (text, below) in [
            ("w.n.svc", ports(b"", b"")),
            ("e.w.n.svc", Below::Endpoint(b"\x01e\x01w\x01n")),
            ("e.c.w.n.svc", Below::Endpoint(b"\x01e\x01c\x01w\x01n")),
            ("_http.tcp.w.n.svc", ports(b"http", b"tcp")),
            ("http._tcp.w.n.svc", ports(b"http", b"tcp")),
        ] {
            let name = Name::from_text(text).unwrap();
            let (_, labels) = name.as_bytes().split_last().unwrap();
            let node = Node::Service { owner: b"\x01w\x01n", below };
            assert_eq!(Node::read(labels, Grammar::Multicluster), node, "{text}");
        }
    }

    #[test]
    fn zones_stand_in_front_of_a_service() {
        let zonal =
            |zone, prefer| Node::Zonal(Zonal { owner: b"\x01w\x01n", service: b"\x01w\x01n\x03svc", zone, prefer });
        let ports = Below::Ports(Ports { port: b"a", protocol: b"zone" });
        for (text, node) in [
            ("a.pin._zone.w.n.svc", zonal(b"\x01a", false)),
            ("a.b.c.prefer._zone.w.n.svc", zonal(b"\x01a\x01b\x01c", true)),
            ("_http._tcp.a.pin._zone.w.n.svc", zonal(b"\x05_http\x04_tcp\x01a", false)),
            ("a.near._zone.w.n.svc", Node::Nothing),
            ("a.pin.zone.w.n.svc", Node::Nothing),
            ("a.pin._zone.w.n.pod", Node::Nothing),
            ("a._zone.w.n.svc", Node::Service { owner: b"\x01w\x01n", below: ports }),
        ] {
            let name = Name::from_text(text).unwrap();
            let (_, labels) = name.as_bytes().split_last().unwrap();
            assert_eq!(Node::read(labels, Grammar::Zonal), node, "{text}");
            assert!(!matches!(Node::read(labels, Grammar::Plain), Node::Zonal(_)), "{text}");
        }
    }

    #[test]
    fn ports_are_chosen_by_name_and_protocol() {
        let port =
            |name: &[u8], protocol: &[u8]| Port { name: name.into(), protocol: protocol.into(), number: Some(1) };
        let all = [port(b"dns", b"UDP"), port(b"dns-tcp", b"TCP"), port(b"metrics", b"TCP")];
        let count = |port, protocol| Ports { port, protocol }.count(&all);
        assert_eq!(count(b"", b""), 3);
        assert_eq!(count(b"", b"tcp"), 2);
        assert_eq!(count(b"dns", b""), 1);
        assert_eq!(count(b"dns", b"tcp"), 0);
        assert!(Ports::ANY.are_in(&[]) && Ports::ANY.count(&[]) == 1);
        assert!(!Ports { port: b"a", protocol: b"" }.are_in(&[]));
        let numbered = |number| Port { number, ..port(b"x", b"TCP") };
        let all = [Some(2), None, Some(1), Some(2)].map(numbered);
        for (ports, all) in [(Ports::ANY, &all[..]), (Ports { port: b"y", protocol: b"" }, &all), (Ports::ANY, &[])] {
            let (count, numbers) = ports.numbers(all);
            let wanted: &[u16] = if ports == Ports::ANY && !all.is_empty() { &[2, 1] } else { &[] };
            assert_eq!((count, &numbers[..]), (ports.count(all), wanted));
        }
    }
}
