//! Admission: the checks that every message passes before a plugin sees it, the same on every transport.
//!
//! What fails them is answered here or not at all, and is counted neither as a request nor as a response
//! (CoreDNS 1.14.7 behaviour: its DNS library does the same before any of its code runs).

use api::query::BadQuery;
use api::wire::{HEADER, flag};
use api::{Opcode, Query, Rcode};

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is a query, read into the [`Query`].
    Query,
    /// It is refused: the reply in the [`Query`] is to be sent as it is.
    Refused,
    /// It gets no reply: no DNS message, or a reply itself.
    Ignored,
}

/// Reads `message` into `q` if it may be answered.
pub fn admit(message: &[u8], q: &mut Query) -> Admission {
    let Some(header) = message.first_chunk::<HEADER>() else { return Admission::Ignored };
    let word = |i: usize| u16::from_be_bytes([header[2 * i], header[2 * i + 1]]);
    let (flags, opcode) = (word(1), Opcode((word(1) >> 11) as u8 & 15));
    if flags & flag::QR != 0 {
        return Admission::Ignored;
    }
    if opcode != Opcode::QUERY && opcode != Opcode::NOTIFY {
        return refuse(q, header, Rcode::NOTIMP, &[]);
    }
    let (questions, answers, authorities, additionals) = (word(2), word(3), word(4), word(5));
    if questions != 1 || answers > 1 || authorities > 1 || additionals > 2 {
        return refuse(q, header, Rcode::FORMERR, &[]);
    }
    match q.parse(message) {
        Ok(()) => Admission::Query,
        Err(BadQuery::Question) => refuse(q, header, Rcode::FORMERR, &[]),
        Err(BadQuery::Rest) => {
            let question = message[HEADER..message.len() - q.packet_rest().len()].to_vec();
            refuse(q, header, Rcode::FORMERR, &question)
        }
    }
}

/// A reply of a header, with the client's ID, RD, RA, AD, CD and TC, and the question if it could be read.
#[cold]
fn refuse(q: &mut Query, header: &[u8; HEADER], rcode: Rcode, question: &[u8]) -> Admission {
    let asked = u16::from_be_bytes([header[2], header[3]]);
    let mut kept = asked & (flag::RD | flag::RA | flag::AD | flag::CD | flag::TC);
    if rcode == Rcode::NOTIMP {
        kept |= asked & flag::OPCODE;
    }
    let flags = flag::QR | kept | rcode.0;
    let mut message = Vec::with_capacity(HEADER + question.len());
    message.extend_from_slice(&header[..2]);
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend_from_slice(&[0, u8::from(!question.is_empty()), 0, 0, 0, 0, 0, 0]);
    message.extend_from_slice(question);
    q.reply.set_raw(&message);
    Admission::Refused
}
