//! The recordings of `kubernetes` once more, with the cluster read from a manifest file: those in which nothing changes.

use super::scenario::{Action, Labelled, Scenario, Start};
use serde_json::{Value, json};

/// The scenario over a manifest file; `None` where it changes the cluster, or looks at the API server.
pub(super) fn from_manifests(labelled: Labelled) -> Option<Labelled> {
    let Labelled { label, mut scenario } = labelled;
    let corefile =
        scenario.corefile.take().filter(|text| text.contains(KUBECONFIG) && !text.contains("endpoint http"))?;
    if scenario.api.is_some() || !matches!(scenario.start, Start::Ok(_)) || !only_asks(&scenario) {
        return None;
    }
    let objects: Vec<Value> = scenario.objects.take()?.into_iter().map(manifest).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    scenario.corefile = Some(corefile.replace(KUBECONFIG, "manifests @DIR@/objects.json"));
    scenario.files.insert("objects.json".into(), list.to_string());
    Some(Labelled { label: format!("{label} from manifests"), scenario })
}

const KUBECONFIG: &str = "kubeconfig @KUBECONFIG@";

fn only_asks(scenario: &Scenario) -> bool {
    let steps = scenario.steps.iter().flatten();
    steps.into_iter().all(|step| matches!(step.action, Action::Ask(_) | Action::Wait(_)))
}

/// An object with its version, which the recordings leave out.
fn manifest(mut object: Value) -> Value {
    let version = match object["kind"].as_str() {
        Some("EndpointSlice") => "discovery.k8s.io/v1",
        Some("ServiceImport") => "multicluster.x-k8s.io/v1alpha1",
        _ => "v1",
    };
    if object["apiVersion"].is_null() {
        object["apiVersion"] = version.into();
    }
    object
}
