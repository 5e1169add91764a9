//! What the Kubernetes API says: lines of watches, pages of lists.

/// Applies `text` to an index: its first octet chooses the kind of objects and whether it is a line or a page.
pub fn apply(text: &[u8]) {
    if let Some((kind, text)) = text.split_first() {
        poddns_kubernetes::fuzzing::apply(*kind, text);
    }
}
