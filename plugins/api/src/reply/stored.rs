//! A reply kept for later: for caches.

use super::*;
use crate::name::same_letters;

/// A message without OPT record, as it was, ready to be sent again: a view of octets from [`Reply::store`], wherever they are kept.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    wire: &'a [u8],
    /// The part of the code that the header has no room for, and, in three octets, how long the message is without compression.
    more: u32,
}

/// The lower three octets of `more`. No message is longer: one of 64 KiB has some 5,000 records at the most.
const PLAIN: u32 = 0xff_ffff;

/// What is different in a message that is sent again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// ID of the message.
    pub id: u16,
    /// The header bits that are set anew, and to what; see [`flag`].
    pub flags: (u16, u16),
    /// TTL of all records, in seconds; `None`: as they are.
    pub ttl: Option<u32>,
}

impl<'a> Stored<'a> {
    /// The message in `octets`, which [`Reply::store`] gave.
    pub fn of(octets: &'a [u8]) -> Stored<'a> {
        let (wire, more) = octets.split_last_chunk().unwrap_or((octets, &[0; size_of::<u32>()]));
        Stored { wire, more: u32::from_be_bytes(*more) }
    }

    /// The second header word.
    pub fn flags(&self) -> u16 {
        wire::u16_at(self.wire, 2).unwrap_or(0)
    }

    /// The response code.
    pub fn rcode(&self) -> Rcode {
        Rcode(((self.more >> 24) as u16) << 4 | self.flags() & flag::RCODE)
    }

    /// Whether it replies to this question, whatever its letters.
    pub fn answers(&self, question: &Question) -> bool {
        let name = question.name().as_bytes();
        let end = HEADER + name.len();
        let field = |at| wire::u16_at(self.wire, at).unwrap_or(0);
        // Lengths of labels have no case.
        self.wire.get(HEADER..end).is_some_and(|own| same_letters(own, name))
            && (field(end), field(end + 2)) == (question.rtype.0, question.class.0)
    }
}

impl Reply {
    /// What `keep` makes of the octets that are to be kept for [`Stored::of`]: the message, and a little behind it. `None` where there
    /// is no message.
    pub fn store<T>(&mut self, keep: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if !self.is_message() {
            return None;
        }
        let (end, more) = (self.wire.len(), u32::from(self.rcode.0 >> 4) << 24 | self.plain as u32 & PLAIN);
        self.wire.extend_from_slice(&more.to_be_bytes());
        let kept = keep(&self.wire);
        self.wire.truncate(end);
        Some(kept)
    }

    /// Makes `stored` the reply to `question`. Owners keep the letters that they have. Allocates nothing once the buffers have grown,
    /// where it answers the question ([`Stored::answers`]); what was there before is gone.
    pub fn load(&mut self, stored: Stored<'_>, again: Again, question: &Question) {
        self.clear();
        self.outcome = Outcome::Message;
        self.plain = (stored.more & PLAIN) as usize;
        self.wire.extend_from_slice(stored.wire);
        self.rcode = stored.rcode();
        let (mask, bits) = again.flags;
        let flags = stored.flags() & !mask | bits & mask;
        self.wire[..2].copy_from_slice(&again.id.to_be_bytes());
        self.wire[2..4].copy_from_slice(&flags.to_be_bytes());
        let end = end_of_name(&self.wire, HEADER);
        self.index_again(end + 4, again.ttl);
        let asked = question.original();
        if self.wire[HEADER..end] == *asked.as_bytes() {
            self.question.set(asked);
        } else if self.wire[HEADER..end].eq_ignore_ascii_case(asked.as_bytes()) {
            // The records are written behind the question as it stands in the reply now.
            self.question.set(asked);
            self.rearrange(0..self.records.len(), MAX_MESSAGE);
        } else if let Some(name) = stored.wire.get(HEADER..).and_then(NameRef::read) {
            self.question.set(name);
            self.set_question(question);
        }
    }

    /// Finds the records from `at` on, which have been checked before, and sets their TTL where one is given.
    fn index_again(&mut self, mut at: usize, ttl: Option<u32>) {
        self.ttl = ttl;
        for (field, section) in [(6, Section::Answer), (8, Section::Authority), (10, Section::Additional)] {
            for _ in 0..u16::from_be_bytes([self.wire[field], self.wire[field + 1]]) {
                let start = at;
                let fixed = end_of_name(&self.wire, at);
                let head = &mut self.wire[fixed..fixed + 10];
                if let Some(ttl) = ttl {
                    head[4..8].copy_from_slice(&ttl.to_be_bytes());
                }
                let rtype = RecordType(u16::from_be_bytes([head[0], head[1]]));
                let rdata = fixed + 10;
                at = rdata + usize::from(u16::from_be_bytes([head[8], head[9]]));
                self.records.push(Entry { start: start as u16, rdata: rdata as u16, end: at as u16, rtype, section });
            }
        }
    }
}

/// Where reading goes on behind the name at `at`.
fn end_of_name(wire: &[u8], mut at: usize) -> usize {
    loop {
        match usize::from(wire[at]) {
            0 => return at + 1,
            0xc0.. => return at + 2,
            length => at += length + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Again = Again { id: 7, flags: (flag::AA, flag::AA), ttl: Some(30) };

    #[test]
    fn another_question_keeps_the_records() {
        let (mut reply, mut question) = (Reply::default(), Question::default());
        question.set_name(NameRef::read(b"\x01b\x07example\0").unwrap());
        reply.start(1, Opcode::QUERY, 0, &question);
        for _ in 0..20 {
            reply.push(Section::Answer, Owner::Question, RecordType::TXT, 5, |d| d.text(&[b'x'; 255]));
        }
        let (octets, plain) = (reply.store(<[u8]>::to_vec).unwrap(), reply.plain_len());
        let stored = Stored::of(&octets);
        for name in [b"\x01B\x07Example\0", b"\x01b\x07example\0"] {
            question.set_name(NameRef::read(name).unwrap());
            assert!(stored.answers(&question));
            reply.load(stored, AGAIN, &question);
            assert_eq!(reply.bytes()[..4], [0, 7, 0x84, 0]);
            assert_eq!(&reply.bytes()[HEADER..][..name.len()], name);
            let mut owner = Vec::new();
            for r in reply.records() {
                owner.clear();
                r.read_owner(&mut owner);
                assert_eq!((&*owner, r.ttl()), (&b"\x01b\x07example\0"[..], 30));
            }
            assert_eq!((reply.records().len(), reply.plain_len()), (20, plain));
        }
        question.set_name(NameRef::read(b"\x02bc\x07example\0").unwrap());
        assert!(!stored.answers(&question));
        reply.load(stored, AGAIN, &question);
        assert!(reply.answers(&question) && reply.records().len() == 20);
    }
}
