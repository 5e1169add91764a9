//! Names that answers point to, put together without an allocation.

use api::{NameRef, Owner};

/// Room for a name.
pub struct Target {
    octets: [u8; 255],
}

impl Target {
    /// Room that is empty yet.
    pub fn new() -> Target {
        Target { octets: [0; 255] }
    }

    /// `labels`, `tree` and `zone` as one name; `None` where that makes no valid one.
    pub fn write(&mut self, labels: [&[u8]; 3], zone: NameRef<'_>) -> Option<NameRef<'_>> {
        let mut len = 0;
        for part in labels.into_iter().chain([zone.as_bytes()]) {
            self.octets.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        NameRef::read(&self.octets[..len]).filter(|name| name.as_bytes().len() == len)
    }
}

/// `name` as the owner of a record in the answer to `question`, as short as it can be.
pub fn owner<'a>(name: NameRef<'a>, question: NameRef<'_>) -> Owner<'a> {
    match question.below(name) {
        Some(0) => Owner::Question,
        Some(offset) => Owner::Suffix(offset),
        None => Owner::Name(name),
    }
}
