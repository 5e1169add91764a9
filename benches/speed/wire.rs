//! Messages on the wire.

use testkit::dns::{Message, type_from_text};

/// A question without EDNS, with the number 0.
pub fn question(name: &str, rtype: &str) -> Vec<u8> {
    Message::query(name, type_from_text(rtype).expect("a type")).to_wire()
}

/// Whether a reply says NOERROR.
pub fn is_noerror(reply: &[u8]) -> bool {
    reply.get(3).is_some_and(|bits| bits & 15 == 0)
}
