//! The example cluster twice, once without its EndpointSlices: what follows from services and pods is what the slices say.

use crate::allocations::question;
use api::Transport;
use poddns::inprocess::InProcess;
use poddns::plugins::standard;
use std::fs;
use std::path::Path;
use testkit::dns::{Message, Record};

#[test]
fn pods_say_what_slices_say() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(CLUSTER).expect("the example") {
        let path = file.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a manifest");
        let without = text.replace("kind: EndpointSlice", "kind: Nothing");
        fs::write(folder.path().join(path.file_name().expect("a name")), without).expect("written");
    }
    for properties in ["", "endpoint_pod_names\n ignore empty_service\n"] {
        let mut with = server(Path::new(CLUSTER), properties);
        let mut without = server(folder.path(), properties);
        let mut answered = 0;
        for (name, rtype) in NAMES.iter().flat_map(|name| TYPES.map(|rtype| (name, rtype))) {
            let wanted = ask(&mut with, name, rtype);
            assert_eq!(ask(&mut without, name, rtype), wanted, "{name} {rtype}");
            answered += usize::from(!wanted.1.is_empty());
        }
        assert!(answered > 25, "{answered}");
    }
}

fn server(manifests: &Path, properties: &str) -> InProcess {
    let (manifests, zones) = (manifests.display(), "cluster.local in-addr.arpa ip6.arpa");
    let corefile =
        format!(".:53 {{\n kubernetes {zones} {{\n manifests {manifests}\n pods verified\n {properties} }}\n}}\n");
    InProcess::start(&standard(), &corefile).expect("a server")
}

/// Response code, answers and additional records, in an order that does not depend on that of objects.
fn ask(server: &mut InProcess, name: &str, rtype: u16) -> (u16, Vec<String>, Vec<String>) {
    let reply = server.answer(&question(name, rtype), Transport::Tcp).expect("a reply");
    let message = Message::parse(reply).expect("a message");
    let sorted = |records: &[Record]| {
        let mut lines: Vec<String> = records.iter().map(Record::to_string).collect();
        lines.sort();
        lines
    };
    (message.bits & 15, sorted(&message.answer), sorted(&message.additional))
}

const CLUSTER: &str = "examples/cluster/manifests";
/// A, AAAA, SRV, PTR and TXT.
const TYPES: [u16; 5] = [1, 28, 33, 12, 16];
const NAMES: [&str; 23] = [
    "shop.default.svc.cluster.local",
    "_http._tcp.shop.default.svc.cluster.local",
    "10-244-1-11.shop.default.svc.cluster.local",
    "10-244-2-10.shop.default.svc.cluster.local",
    "fd00-10-244-2--9.shop.default.svc.cluster.local",
    "shop-6c54bd5869-gw8r4.shop.default.svc.cluster.local",
    "shop-public.default.svc.cluster.local",
    "10-244-2-9.shop-public.default.svc.cluster.local",
    "fd00-10-244-2--9.shop-public.default.svc.cluster.local",
    "payments.default.svc.cluster.local",
    "db.data.svc.cluster.local",
    "db-0.db.data.svc.cluster.local",
    "db-2.db.data.svc.cluster.local",
    "_postgres._tcp.db.data.svc.cluster.local",
    "kube-dns.kube-system.svc.cluster.local",
    "_dns-tcp._tcp.kube-dns.kube-system.svc.cluster.local",
    "10-244-0-2.kube-dns.kube-system.svc.cluster.local",
    "10-244-1-20.data.pod.cluster.local",
    "11.1.244.10.in-addr.arpa",
    "10.2.244.10.in-addr.arpa",
    "20.2.244.10.in-addr.arpa",
    "3.14.96.10.in-addr.arpa",
    "b.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.4.4.2.0.0.1.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
];
