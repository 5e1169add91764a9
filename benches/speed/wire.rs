//! Messages on the wire.

use testkit::dns::{Message, Name, Question, flag, type_from_text};

/// A question without EDNS, with the number 0.
pub fn question(name: &str, rtype: &str) -> Vec<u8> {
    let name = Name::from_text(name).expect("a name");
    let rtype = type_from_text(rtype).expect("a type");
    let questions = vec![Question { name, rtype, class: 1 }];
    Message { bits: flag::RD, questions, ..Message::default() }.to_wire()
}

/// Whether a reply says NOERROR.
pub fn is_noerror(reply: &[u8]) -> bool {
    reply.get(3).is_some_and(|bits| bits & 15 == 0)
}
