use super::*;
use std::path::Path;

/// The slices derived from YAML, a line each: service, ports, and endpoints with `!` where they are not ready.
fn derived(yaml: &str) -> Vec<String> {
    let mut problems = Problems::default();
    let documents = Document::all(Path::new("x.yaml"), yaml, &mut problems);
    let shown = slices(&documents, &mut problems).into_iter().map(|d| show(&d.slice)).collect();
    assert_eq!(problems.into_lines(), Vec::<String>::new());
    shown
}

fn show(slice: &EndpointSlice<'_>) -> String {
    let ports: Vec<String> = slice.ports.iter().map(|p| format!("{}:{}", &*p.name, p.port.unwrap_or(-1))).collect();
    let endpoint = |e: &Endpoint<'_>| {
        let addresses: Vec<&str> = e.addresses.iter().map(|a| &**a).collect();
        let ready = if e.conditions.ready == Some(true) { "" } else { "!" };
        let labels: String = [("=", &e.hostname), ("@", &e.zone)]
            .iter()
            .filter(|l| !l.1.is_empty())
            .map(|l| l.0.to_owned() + l.1)
            .collect();
        format!("{ready}{}{labels}", addresses.join("+"))
    };
    let endpoints: Vec<String> = slice.endpoints.iter().map(endpoint).collect();
    format!("{} [{}] {}", &*slice.metadata.labels.service, ports.join(" "), endpoints.join(" "))
}

/// A service that selects `app: w`, with more in its spec.
fn service(spec: &str) -> String {
    format!("---\nkind: Service\nmetadata: {{name: w, namespace: d}}\nspec: {{selector: {{app: w}}, {spec}}}\n")
}

/// A ready pod with label `app: w`, and more in spec and status.
fn pod(ip: &str, spec: &str, status: &str) -> String {
    format!(
        "---\nkind: Pod\nmetadata: {{name: p-{ip}, namespace: d, labels: {{app: w, x: y}}}}\nspec: {{{spec}}}\n\
         status: {{podIP: \"{ip}\", conditions: [{{type: Ready, status: \"True\"}}], {status}}}\n"
    )
}

const HTTP: &str = "clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]";

#[test]
fn pods_are_selected_by_all_labels_of_their_namespace() {
    let other = |metadata: &str| format!("---\nkind: Pod\nmetadata: {{{metadata}}}\nstatus: {{podIP: 10.0.9.9}}\n");
    let yaml = service(HTTP)
        + &pod("10.0.0.1", "", "phase: Running")
        + &pod("10.0.0.2", "", "")
        + &other("name: a, namespace: e, labels: {app: w}")
        + &other("name: b, namespace: d, labels: {app: v}")
        + &other("name: c, namespace: d");
    assert_eq!(derived(&yaml), ["w [http:80] 10.0.0.1 10.0.0.2"]);
    let both = service("clusterIP: None").replace("{app: w}", "{app: w, x: y}");
    assert_eq!(derived(&(both.clone() + &pod("10.0.0.1", "", ""))), ["w [] 10.0.0.1"]);
    assert_eq!(derived(&(both.replace("x: y", "x: z") + &pod("10.0.0.1", "", ""))), Vec::<String>::new());
}

#[test]
fn services_with_slices_or_without_selector_are_left_alone() {
    let pods = pod("10.0.0.1", "", "");
    let slice =
        "---\nkind: EndpointSlice\nmetadata: {name: w-1, namespace: d, labels: {kubernetes.io/service-name: w}}\n";
    assert!(derived(&(service(HTTP) + &pods + slice)).is_empty());
    assert!(derived(&(service(HTTP).replace("{app: w}", "{}") + &pods)).is_empty());
    assert!(derived(&(service("type: ExternalName, externalName: x.org") + &pods)).is_empty());
    assert_eq!(derived(&(service(HTTP) + &pods + &slice.replace("name: w}", "name: v}"))), ["w [http:80] 10.0.0.1"]);
}

#[test]
fn readiness_follows_pod_and_service() {
    let not_ready = pod("10.0.0.1", "", "").replace("\"True\"", "\"False\"");
    let terminating =
        pod("10.0.0.2", "", "").replace("namespace: d,", "namespace: d, deletionTimestamp: \"2026-01-01\",");
    let ended = pod("10.0.0.3", "", "phase: Succeeded") + &pod("10.0.0.4", "", "phase: Failed");
    let pending = pod("", "", "phase: Pending");
    let pods = not_ready + &terminating + &ended + &pending;
    assert_eq!(derived(&(service(HTTP) + &pods)), ["w [http:80] !10.0.0.1 !10.0.0.2"]);
    let publish = service(&format!("publishNotReadyAddresses: true, {HTTP}"));
    assert_eq!(derived(&(publish + &pods)), ["w [http:80] 10.0.0.1 10.0.0.2"]);
}

#[test]
fn hosts_and_zones() {
    let node = "---\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: eu-a}}\n";
    let yaml = service("clusterIP: None")
        + node
        + &pod("10.0.0.1", "hostname: w-0, subdomain: w, nodeName: n1", "")
        + &pod("10.0.0.2", "hostname: w-1, subdomain: other, nodeName: n2", "")
        + &pod("192.0.2.1", "hostNetwork: true, subdomain: w", "");
    assert_eq!(derived(&yaml), ["w [] 10.0.0.1=w-0@eu-a 10.0.0.2 192.0.2.1"]);
}

#[test]
fn families_are_those_of_the_service() {
    let dual = "podIPs: [{ip: 10.0.0.1}, {ip: \"fd00::1\"}]";
    let pods = pod("10.0.0.1", "", dual) + &pod("fd00::2", "", "");
    let (v4, v6) = ("w [] 10.0.0.1", "w [] fd00::1 fd00::2");
    for (spec, expected) in [
        ("ipFamilies: [IPv4], clusterIP: None", &[v4][..]),
        ("ipFamilies: [IPv6, IPv4], clusterIP: None", &[v6, v4]),
        ("clusterIP: 10.96.0.1", &[v4]),
        ("clusterIP: \"fd00::60\"", &[v6]),
        ("clusterIP: None", &[v4, v6]),
    ] {
        assert_eq!(derived(&(service(spec) + &pods)), expected, "{spec}");
    }
}

#[test]
fn ports_are_those_of_each_pod() {
    let spec = "clusterIP: None, ports: [{name: http, port: 80, targetPort: web}, {name: dns, port: 53, protocol: UDP}, \
                {name: admin, port: 8000, targetPort: 9000}]";
    let web = |port: u16| format!("containers: [{{}}, {{ports: [{{name: web, containerPort: {port}}}]}}]");
    let sidecar = web(8082).replace("containers: [{}, {", "initContainers: [{restartPolicy: Always, ");
    let udp = web(8083).replace("name: web,", "name: web, protocol: UDP,");
    let yaml = service(spec)
        + &pod("10.0.0.1", &web(8080), "")
        + &pod("10.0.0.2", &web(8081), "")
        + &pod("10.0.0.3", &web(8080), "")
        + &pod("10.0.0.4", &sidecar, "")
        + &pod("10.0.0.5", &sidecar.replace("Always", "Never"), "")
        + &pod("10.0.0.6", &udp, "");
    let mut slices = derived(&yaml);
    slices.sort();
    assert_eq!(
        slices,
        [
            "w [dns:53 admin:9000] 10.0.0.5 10.0.0.6",
            "w [http:8080 dns:53 admin:9000] 10.0.0.1 10.0.0.3",
            "w [http:8081 dns:53 admin:9000] 10.0.0.2",
            "w [http:8082 dns:53 admin:9000] 10.0.0.4",
        ]
    );
}

#[test]
fn large_services_have_several_slices() {
    let pods: String = (0..205).map(|n| pod(&format!("10.0.1.{n}"), "", "")).collect();
    let lengths: Vec<usize> = derived(&(service(HTTP) + &pods)).iter().map(|s| s.matches("10.0.1.").count()).collect();
    assert_eq!(lengths, [100, 100, 5]);
}

#[test]
fn endpoints_objects_are_mirrored() {
    let endpoints = "---\nkind: Endpoints\nmetadata: {name: w, namespace: d}\nsubsets:\n\
        - {addresses: [{ip: 10.0.0.1, hostname: a}, {ip: 10.0.0.2}], notReadyAddresses: [{ip: 10.0.0.3}], ports: [{name: http, port: 8080}]}\n\
        - {addresses: [{ip: \"fd00::1\"}]}\n";
    let mirrored = ["w [http:8080] 10.0.0.1=a 10.0.0.2 !10.0.0.3", "w [] fd00::1"];
    let manual = service(HTTP).replace("{app: w}", "null");
    assert_eq!(derived(&(manual.clone() + endpoints)), mirrored);
    assert_eq!(derived(&(service(HTTP) + endpoints)), mirrored, "no pods are known");
    assert_eq!(derived(&(service(HTTP) + endpoints + &pod("10.0.0.9", "", ""))), ["w [http:80] 10.0.0.9"]);
    let skipped = endpoints.replace("d}", "d, labels: {endpointslice.kubernetes.io/skip-mirror: \"true\"}}");
    assert!(derived(&(manual + &skipped)).is_empty());
    assert!(derived(endpoints).is_empty(), "there is no service");
}

#[test]
fn what_is_no_pod_is_named() {
    let mut problems = Problems::default();
    let yaml = service(HTTP) + &pod("10.0.0.1", "containers: 7", "") + &pod("10.0.0.2", "", "");
    let documents = Document::all(Path::new("x.yaml"), &yaml, &mut problems);
    let found: Vec<String> = slices(&documents, &mut problems).iter().map(|d| show(&d.slice)).collect();
    assert_eq!(found, ["w [http:80] 10.0.0.2"]);
    let problems = problems.into_lines();
    assert!(problems.len() == 1 && problems[0].starts_with("x.yaml: document 2: spec.containers: "), "{problems:?}");
}
