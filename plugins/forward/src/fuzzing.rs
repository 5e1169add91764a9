//! For the fuzzer: what an upstream says, without an upstream.

use crate::message::{self, Verdict};
use api::Query;

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is the reply to the query now.
    Reply,
    /// It is none; the reply to the query is what the client gets if nothing better comes.
    Instead,
    /// Nothing: it has nothing to do with the query.
    Ignored,
}

/// Treats `message` as if it had come from the upstream that was asked for what `q` asks, with `id`.
pub fn take(q: &mut Query, id: u16, message: &[u8]) -> Taken {
    match message::take_reply(q, id, message) {
        Verdict::Reply => Taken::Reply,
        Verdict::Wrong | Verdict::Malformed => Taken::Instead,
        Verdict::Foreign => Taken::Ignored,
    }
}
