//! What a change of a Pod does to what leads to it.

use super::{FULL, Writer, retag};
use crate::index::entry::Pod;
use crate::index::labels::LabelSet;
use std::sync::Arc;

impl Writer {
    pub(super) fn publish_pod(&mut self, found: Option<u32>, pod: Pod, now: u32) {
        let Some(slot) = found.or_else(|| self.pods.free.take()) else { return self.remark(FULL.into()) };
        self.pods.note(slot);
        let old = self.index.pods.get_full(slot);
        if old.as_deref() == Some(&pod) {
            return;
        }
        let moved = |old: &Arc<Pod>| (old.address, &old.odd) != (pod.address, &pod.odd);
        if old.as_ref().is_none_or(moved) {
            self.touch(now);
        }
        let hash = |pod: &Pod| self.index.hash(pod.address);
        let (before, after): (Vec<u64>, _) = (old.as_deref().map(hash).into_iter().collect(), [hash(&pod)]);
        self.pod_names.insert(self.identity(&pod.name, &pod.namespace.label), slot);
        self.index.pods.set(slot, Some(Arc::new(pod)));
        retag(&self.index.pod_addresses, slot, &before, &after);
    }

    pub(super) fn remove_pod(&mut self, slot: u32, now: u32) {
        let Some(old) = self.index.pods.get_full(slot) else { return };
        self.counts(now);
        self.pod_names.remove(self.identity(&old.name, &old.namespace.label), slot);
        self.index.pod_addresses.remove(self.index.hash(old.address), slot);
        self.index.pods.set(slot, None);
        self.pods.free.put(slot);
    }

    /// The labels, shared with all pods that have the same.
    pub(super) fn shared_labels(&mut self, labels: LabelSet) -> Arc<LabelSet> {
        if let Some(known) = self.label_sets.get(&labels) {
            return known.clone();
        }
        if self.label_sets.len() >= LABEL_SETS {
            self.label_sets.retain(|set| Arc::strong_count(set) > 1);
        }
        let labels = Arc::new(labels);
        if self.label_sets.len() < LABEL_SETS {
            self.label_sets.insert(labels.clone());
        }
        labels
    }

    pub(super) fn find_pod(&self, name: &[u8], namespace: &[u8]) -> Option<u32> {
        self.pod_names.find(self.identity(name, namespace), |slot| {
            let pod = self.index.pods.get(slot)?;
            (*pod.name == *name && *pod.namespace.label == *namespace).then_some(slot)
        })
    }
}

/// So many different sets of labels are shared; others are kept for each pod.
const LABEL_SETS: usize = 10_000;
