//! The names of a cluster as a zone file, for servers that know no cluster.

use serde_json::Value;
use std::fmt::Write;

/// The zone `cluster.local` with what these objects stand for: addresses and SRV records of services, and of the endpoints of those
/// that are headless.
pub fn cluster(objects: &[Value]) -> String {
    let mut zone = HEAD.to_owned();
    for object in objects {
        match text(&object["kind"]) {
            "Service" => service(&mut zone, object),
            "EndpointSlice" => slice(&mut zone, object),
            _ => (),
        }
    }
    zone
}

fn service(zone: &mut String, object: &Value) {
    let address = text(&object["spec"]["clusterIP"]);
    if address != "None" {
        let name = owner(object, text(&object["metadata"]["name"]));
        line(zone, &format!("{name} A {address}"));
        line(zone, &format!("_http._tcp.{name} SRV 0 100 80 {name}"));
    }
}

fn slice(zone: &mut String, object: &Value) {
    let name = owner(object, text(&object["metadata"]["labels"]["kubernetes.io/service-name"]));
    for endpoint in object["endpoints"].as_array().expect("endpoints") {
        if let Some(host) = endpoint["hostname"].as_str() {
            let address = text(&endpoint["addresses"][0]);
            line(zone, &format!("{name} A {address}"));
            line(zone, &format!("{host}.{name} A {address}"));
            line(zone, &format!("_http._tcp.{name} SRV 0 10 8080 {host}.{name}"));
        }
    }
}

/// The name of a service, relative to the zone.
fn owner(object: &Value, service: &str) -> String {
    format!("{service}.{}.svc", text(&object["metadata"]["namespace"]))
}

fn line(zone: &mut String, record: &str) {
    writeln!(zone, "{record}").expect("a string takes all");
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

const HEAD: &str = "\
$ORIGIN cluster.local.
$TTL 30
@ SOA ns.dns hostmaster 1 7200 1800 86400 30
@ NS ns.dns
ns.dns A 10.96.0.10
";
