//! Objects with the metadata that those of real clusters carry.

use serde_json::{Value, json};

/// Namespaces, services with a slice each, every fifth of them headless with host names, and pods.
pub fn cluster(services: usize, endpoints: usize, pods: usize) -> Vec<Value> {
    let spaces = spaces(services);
    let mut all: Vec<Value> = (0..spaces)
        .map(|n| json!({"kind": "Namespace", "metadata": {"name": format!("ns{n}"), "labels": {"kubernetes.io/metadata.name": format!("ns{n}")}, "managedFields": managed()}}))
        .collect();
    for number in 0..services {
        let namespace = namespace(number, services);
        let headless = is_headless(number);
        let address = if headless { "None".to_owned() } else { cluster_address(number) };
        all.push(full_service(&format!("service-{number}"), &namespace, &address));
        all.push(slice(number, &namespace, endpoints, 0));
    }
    all.extend((0..pods).map(|number| pod(number, &format!("ns{}", number % spaces))));
    all
}

/// Whether the service with this number is headless.
pub fn is_headless(number: usize) -> bool {
    number.is_multiple_of(5)
}

/// The name of a service, in a cluster of so many.
pub fn service_name(number: usize, services: usize) -> String {
    format!("service-{number}.{}.svc.cluster.local", namespace(number, services))
}

/// The namespace of a service, in a cluster of so many.
pub fn namespace(number: usize, services: usize) -> String {
    format!("ns{}", number % spaces(services))
}

/// Namespaces in a cluster of so many services.
fn spaces(services: usize) -> usize {
    (services / 50).max(1)
}

/// The address of a service that is not headless.
pub fn cluster_address(number: usize) -> String {
    format!("10.{}.{}.{}", 96 + (number >> 16), number >> 8 & 255, number & 255)
}

/// A service in the namespace `ns0`.
pub fn service(name: &str, address: &str) -> Value {
    full_service(name, "ns0", address)
}

fn full_service(name: &str, namespace: &str, address: &str) -> Value {
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]);
    let spec = json!({"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
        "ports": ports, "selector": {"app": name}});
    json!({"kind": "Service", "metadata": metadata(name, namespace, &json!({"app": name})), "spec": spec, "status": {"loadBalancer": {}}})
}

/// The slice of a service; `generation` changes the address of its first endpoint.
pub fn slice(number: usize, namespace: &str, endpoints: usize, generation: usize) -> Value {
    let headless = is_headless(number);
    let name = format!("service-{number}");
    let endpoint = |at: usize| {
        let k = number * endpoints + at;
        let third = if at == 0 { (k >> 8 & 255) ^ (generation & 255) } else { k >> 8 & 255 };
        let mut endpoint = json!({"addresses": [format!("10.{}.{third}.{}", 128 + (k >> 16 & 127), k & 255)],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": format!("node-{}.internal", k % 5000), "zone": "z1",
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": format!("{name}-7d9f8b6c5d-{k:05x}"),
                "uid": format!("{k:08x}-aaaa-bbbb-cccc-444455556666")}});
        if headless {
            endpoint["hostname"] = format!("{name}-{at}").into();
        }
        endpoint
    };
    let labels = json!({"kubernetes.io/service-name": name, "app": name,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
    json!({"kind": "EndpointSlice", "metadata": metadata(&format!("{name}-abcde"), namespace, &labels),
        "addressType": "IPv4", "endpoints": (0..endpoints).map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})
}

fn pod(number: usize, namespace: &str) -> Value {
    let name = format!("worker-{:05x}-7d9f8b6c5d-{number:05x}", number / 10);
    let address = format!("10.{}.{}.{}", 128 + (number >> 16 & 127), number >> 8 & 255, number & 255);
    let container = json!({"name": "main", "image": "registry.example/team/worker:1.2.3", "resources":
        {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "env": (0..8).map(|n| json!({"name": format!("SETTING_{n}"), "value": "some value of a setting"})).collect::<Vec<_>>()});
    let conditions: Vec<Value> = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map(|kind| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z"}))
        .into();
    json!({"kind": "Pod", "metadata": metadata(&name, namespace, &json!({"app": "worker", "pod-template-hash": "7d9f8b6c5d"})),
        "spec": {"containers": [container], "nodeName": format!("node-{}.internal", number % 5000), "serviceAccountName": "default"},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": "10.1.2.3", "conditions": conditions}})
}

fn metadata(name: &str, namespace: &str, labels: &Value) -> Value {
    json!({"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1, "labels": labels,
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(400)},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "controller": true,
            "blockOwnerDeletion": true, "uid": "11111111-2222-3333-4444-555555555555"}],
        "managedFields": managed()})
}

fn managed() -> Value {
    let fields = json!({"f:metadata": {"f:annotations": {".": {}, "f:x": {}}, "f:labels": {".": {}, "f:app": {}}}, "f:spec":
        {"f:internalTrafficPolicy": {}, "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {},
        "f:protocol": {}, "f:targetPort": {}}}, "f:selector": {}, "f:sessionAffinity": {}, "f:type": {}}});
    json!([{"manager": "helm", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields}])
}
