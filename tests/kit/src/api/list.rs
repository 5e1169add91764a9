//! Lists: page by page, each page from the state of the first one.

use super::Shared;
use super::http::{Body, failure, whole};
use super::select::Selection;
use super::store::{KINDS, Stored};
use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// What is asked for.
pub(super) struct Page {
    /// The place in [`KINDS`].
    pub(super) kind: usize,
    pub(super) selection: Selection,
    /// The most objects in it; 0 for all.
    pub(super) limit: usize,
    /// Where it begins (`PLACE:VERSION`); empty for the first one.
    pub(super) token: String,
    /// Of the objects only their metadata.
    pub(super) names: bool,
}

/// The states that lists began with, for their later pages: kind, version, objects.
#[derive(Default)]
pub(super) struct Snapshots(Vec<(usize, u64, Vec<Stored>)>);

impl Snapshots {
    fn keep(&mut self, kind: usize, version: u64, objects: &[Stored]) {
        if !self.0.iter().any(|s| (s.0, s.1) == (kind, version)) {
            self.0.push((kind, version, objects.to_vec()));
        }
        if self.0.len() > SNAPSHOTS {
            self.0.remove(0);
        }
    }

    fn get(&self, kind: usize, version: u64) -> Option<&[Stored]> {
        self.0.iter().find(|s| (s.0, s.1) == (kind, version)).map(|s| &*s.2)
    }
}

/// One page, as it is wrong at present.
pub(super) async fn list(shared: &Shared, page: Page) -> Response<Body> {
    if shared.faults().take(|f| &mut f.garbage_list) {
        return whole(StatusCode::OK, Bytes::from_static(b"{\"kind\":\"List\",\"items\":[{\"metadata\":{\"na\0\xff"));
    }
    let made = made(shared, &page);
    let delay = shared.faults().page_delay();
    tokio::time::sleep(delay).await;
    let Some(mut body) = made else {
        return failure(410, "Expired", "The provided continue parameter is too old", None);
    };
    if shared.faults().take(|f| &mut f.truncate_list) {
        body.truncate(body.len() / 2);
    }
    whole(StatusCode::OK, body.into())
}

/// The text of a page; `None` where its state is not known any more.
fn made(shared: &Shared, page: &Page) -> Option<Vec<u8>> {
    let store = shared.store();
    let mut snapshots = shared.snapshots();
    let (start, version): (usize, u64) = match page.token.split_once(':') {
        Some((start, version)) => (start.parse().ok()?, version.parse().ok()?),
        None => (0, store.version),
    };
    if !page.token.is_empty() && (version < store.compacted || shared.faults().take(|f| &mut f.expire_continue)) {
        return None;
    }
    let all = if page.token.is_empty() { store.objects(page.kind) } else { snapshots.get(page.kind, version)? };
    let selected: Vec<&Stored> = all.iter().filter(|s| page.selection.has(&s.object)).collect();
    let limit = if page.limit == 0 { usize::MAX } else { page.limit };
    let end = selected.len().min(start.saturating_add(limit));
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if end < selected.len() {
        metadata["continue"] = format!("{end}:{version}").into();
        if page.selection.is_all() {
            metadata["remainingItemCount"] = (selected.len() - end).into();
        }
    }
    let body = text(page, &metadata, selected.get(start..end).unwrap_or_default());
    if end < selected.len() && page.token.is_empty() {
        let all = store.objects(page.kind).to_vec();
        snapshots.keep(page.kind, version, &all);
    }
    Some(body)
}

fn text(page: &Page, metadata: &Value, objects: &[&Stored]) -> Vec<u8> {
    let (kind, version) = match page.names {
        true => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1"),
        false => (format!("{}List", KINDS[page.kind].name), KINDS[page.kind].version),
    };
    let head = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
    let mut body = head.to_string().into_bytes();
    body.pop();
    body.extend_from_slice(b",\"items\":[");
    for (i, stored) in objects.iter().enumerate() {
        body.extend_from_slice(if i == 0 { b"" } else { b"," });
        match page.names {
            true => {
                let name = json!({"kind": "PartialObjectMetadata", "metadata": stored.object["metadata"]});
                body.extend_from_slice(name.to_string().as_bytes());
            }
            false => body.extend_from_slice(&stored.text),
        }
    }
    body.extend_from_slice(b"]}");
    body
}

/// So many lists may be under way at once.
const SNAPSHOTS: usize = 32;
