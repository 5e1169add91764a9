//! For the fuzzer: what an API server says, without an API server.

use crate::index::{Index, Kind, Options};
use crate::watch::{Items, Record, Target, frame};
use std::time::Duration;

/// Applies `text` to a new index; `choice` chooses the kind of objects and whether it is a line of a watch or a page of a list.
/// What can be understood has to leave an index that can be read.
pub fn apply(choice: u8, text: &[u8]) {
    let own = [Kind::Service, Kind::EndpointSlice, Kind::Namespace, Kind::Pod];
    let imported = [Kind::ServiceImport, Kind::ImportedSlice];
    let options = Options { pod_names: choice & 4 != 0, zones: choice & 32 != 0, external: true };
    let (mut index, mut writer) = Index::new(&own, options);
    let kind = match choice & 16 {
        0 => own[usize::from(choice & 3)],
        _ => imported[usize::from(choice & 1)],
    };
    if kind.is_imported() {
        (index, writer) = Index::of_imports(index, &imported, options);
    }
    let mut record = Record::default();
    let mut target = Target { kind, writer: &mut writer, record: &mut record, now: Duration::from_secs(1_700_000_000) };
    let mut understood = false;
    for _ in 0..2 {
        understood |= match choice & 8 {
            0 => target.line(text).is_ok(),
            _ => page(&mut target, text),
        };
    }
    if understood {
        let found = index.service(b"\x01a\x01b");
        let endpoints: usize = found.map_or(0, |service| index.slices_of(&service).map(|slice| slice.len()).sum());
        let named = index.endpoints(b"\x01h\x01a\x01b").iter().count();
        assert!(named <= endpoints, "every endpoint with a name is one of the service");
    }
}

/// Applies a page of a list that comes in pieces.
fn page(target: &mut Target<'_>, text: &[u8]) -> bool {
    let mut items = Items::default();
    text.chunks(7).all(|piece| target.items(&mut items, piece).is_ok()) && frame(&items).is_ok()
}
