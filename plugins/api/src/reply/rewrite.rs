//! Changes that move octets: the message is written anew, compressed as far as RFC 1035 4.1.4 and RFC 3597 4 allow.

use super::*;
use crate::wire::Piece;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

impl Reply {
    /// Writes the message anew with the records of `order` (places in [`Reply::records`], sections in their order), compressed.
    ///
    /// Records that do not fit into `limit` octets are left out with all that follow in their section and in later
    /// ones; returns whether that happened.
    pub fn rearrange(&mut self, order: impl IntoIterator<Item = usize>, limit: usize) -> bool {
        let mut old = std::mem::take(&mut self.names.wire);
        std::mem::swap(&mut old, &mut self.wire);
        let mut entries = std::mem::take(&mut self.names.entries);
        std::mem::swap(&mut entries, &mut self.records);

        let name = self.question.get().as_bytes();
        let question_end = HEADER + name.len() + 4;
        self.wire.clear();
        self.wire.extend_from_slice(&old[..6]);
        self.wire.extend_from_slice(&[0; 6]);
        self.wire.extend_from_slice(name);
        self.wire.extend_from_slice(&old[question_end - 4..question_end]);
        self.records.clear();
        self.plain = question_end;
        self.names.begin(&self.wire);
        let mut cut = false;
        for i in order {
            if !self.copy_record(&old, entries[i], limit) {
                cut = true;
                break;
            }
        }
        self.names.wire = old;
        self.names.entries = entries;
        cut
    }

    /// Keeps the records for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(Record<'_>) -> bool) {
        let kept: Vec<usize> = self.records().enumerate().filter(|(_, r)| keep(*r)).map(|(i, _)| i).collect();
        if kept.len() < self.records.len() {
            self.rearrange(kept, MAX_MESSAGE);
        }
    }

    /// Compresses the message and makes it fit into `limit` octets by dropping records from its end; sets TC where it did.
    pub fn shrink(&mut self, limit: usize) {
        if self.compressible() {
            if self.rearrange(0..self.records.len(), limit) {
                self.set_flags(flag::TC, flag::TC);
            }
            return;
        }
        while self.wire.len() > limit {
            let Some(&last) = self.records.last() else { break };
            self.drop_last(last);
            self.set_flags(flag::TC, flag::TC);
        }
    }

    /// Whether some name could be written shorter: an owner that is no pointer yet, or a name inside the data.
    fn compressible(&self) -> bool {
        let short = |e: &Entry| {
            let first = self.wire[e.start as usize];
            (first == 0 || first >= 0xc0) && !wire::layout(e.rtype).contains(&wire::Part::Name)
        };
        !self.records.iter().all(short)
    }

    /// Asks in the reply for `question` instead; owners and targets keep the names they have.
    pub fn set_question(&mut self, question: &Question) {
        self.set_question_and_lead(question, |_| ());
    }

    /// The same, and `lead` writes records that stand in front of all others.
    pub fn set_question_and_lead(&mut self, question: &Question, lead: impl FnOnce(&mut Reply)) {
        if !self.is_message() {
            return;
        }
        // Without compression no record depends on the octets of the question.
        let plain: Vec<Plain> = self.records().map(Plain::of).collect();
        let (rcode, flags, opt, live, why) = (self.rcode, self.flags(), self.opt.take(), self.live, self.why);
        let (id, opcode) = (wire::u16_at(&self.wire, 0).unwrap_or(0), Opcode((flags >> 11) as u8 & 15));
        self.start(id, opcode, flags, question);
        self.set_flags(!0, flags);
        (self.rcode, self.opt, self.live, self.why) = (rcode, opt, live, why);
        lead(self);
        for Plain { section, kind, ttl, owner, data } in plain {
            if let Some(owner) = NameRef::read(&owner) {
                self.push_class(section, Owner::Name(owner), kind, ttl, |d| d.octets(&data));
            }
        }
    }

    /// Appends the answer of another reply, whatever its code, to `section`; says that it is cut where the other one is.
    pub fn push_answer_of(&mut self, from: &Reply, section: Section) {
        for r in from.records().filter(|r| r.section() == Section::Answer).map(Plain::of) {
            if let Some(owner) = NameRef::read(&r.owner) {
                self.push_class(section, Owner::Name(owner), r.kind, r.ttl, |d| d.octets(&r.data));
            }
        }
        self.set_flags(flag::TC, self.flags() | from.flags());
    }

    /// Copies one record of `old` behind the others; `false` where it does not fit.
    fn copy_record(&mut self, old: &[u8], entry: Entry, limit: usize) -> bool {
        let (start, known) = (self.wire.len(), self.names.filled());
        let mut plain = 10 + self.names.copy(old, entry.start as usize, true, &mut self.wire);
        let fixed = entry.rdata as usize - 10;
        self.wire.extend_from_slice(&old[fixed..fixed + 10]);
        let rdata = self.wire.len();
        let (wire, names) = (&mut self.wire, &mut self.names);
        wire::walk_rdata(old, entry.rtype, entry.rdata as usize, entry.end as usize, |piece| match piece {
            Piece::Octets(from, to) => {
                wire.extend_from_slice(&old[from..to]);
                plain += to - from;
            }
            Piece::Name { at, compress } => plain += names.copy(old, at, compress, wire),
        })
        .expect("checked when it was written");
        let end = self.wire.len();
        if end > limit {
            self.wire.truncate(start);
            self.names.forget(known);
            return false;
        }
        self.wire[rdata - 2..rdata].copy_from_slice(&((end - rdata) as u16).to_be_bytes());
        self.records.push(Entry { start: start as u16, rdata: rdata as u16, end: end as u16, ..entry });
        self.plain += plain;
        self.bump(entry.section, 1);
        true
    }
}

/// A record on its own, without compression.
struct Plain {
    section: Section,
    kind: (RecordType, Class),
    ttl: u32,
    owner: Vec<u8>,
    data: Vec<u8>,
}

impl Plain {
    fn of(r: Record<'_>) -> Plain {
        let (mut owner, mut data) = (Vec::new(), Vec::new());
        r.read_owner(&mut owner);
        r.read_data(&mut data);
        Plain { section: r.section(), kind: (r.rtype(), r.class()), ttl: r.ttl(), owner, data }
    }
}

/// The names written so far, for compression: a hash table of places; and the buffers of the message written before.
#[derive(Default)]
pub(super) struct Names {
    table: Vec<u16>,
    used: Vec<u16>,
    hasher: RandomState,
    name: Vec<u8>,
    wire: Vec<u8>,
    entries: Vec<Entry>,
}

/// Slots of the table: twice as many as names are kept.
const SLOTS: usize = 4096;
/// Places from here on cannot be pointed to (RFC 1035 4.1.4).
const REACH: usize = 0x4000;

impl Names {
    /// Forgets all names but those of the question in `wire`.
    fn begin(&mut self, wire: &[u8]) {
        // What was used is taken back, which is little; emptying the whole table costs more than all else.
        self.forget(0);
        self.table.resize(SLOTS, 0);
        let mut question = NameRef::read(&wire[HEADER..]).expect("written by `rearrange`");
        let mut place = HEADER;
        while !question.is_root() {
            self.find_or_note(wire, question.as_bytes(), place);
            place += question.as_bytes()[0] as usize + 1;
            question = question.parent();
        }
    }

    fn filled(&self) -> usize {
        self.used.len()
    }

    /// Takes back the names that came after the first `known`.
    fn forget(&mut self, known: usize) {
        for slot in self.used.drain(known..) {
            self.table[slot as usize] = 0;
        }
    }

    /// Writes the name at `at` in `old` to `wire`; returns its octets without compression.
    fn copy(&mut self, old: &[u8], at: usize, compress: bool, wire: &mut Vec<u8>) -> usize {
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        wire::read_name(old, at, &mut name).expect("checked when it was written");
        let (start, mut written, mut known) = (wire.len(), 0, None);
        while name[written] != 0 && known.is_none() {
            known = self.find_or_note(wire, &name[written..], start + written);
            if known.is_none() {
                let label = written..written + name[written] as usize + 1;
                wire.extend_from_slice(&name[label.clone()]);
                written = label.end;
            }
        }
        match known {
            Some(place) if compress => wire.extend_from_slice(&(0xc000 | place).to_be_bytes()),
            _ => wire.extend_from_slice(&name[written..]),
        }
        let plain = name.len();
        self.name = name;
        plain
    }

    /// Where the uncompressed name `name` stands in `wire`, letter by letter; else notes that it stands at `place` from now on.
    fn find_or_note(&mut self, wire: &[u8], name: &[u8], place: usize) -> Option<u16> {
        let mut slot = self.slot(name);
        while self.table[slot] != 0 {
            if wire::same_name(wire, self.table[slot] as usize, name, |a, b| a == b) {
                return Some(self.table[slot]);
            }
            slot = (slot + 1) % SLOTS;
        }
        if place < REACH && self.used.len() < SLOTS / 2 {
            self.table[slot] = place as u16;
            self.used.push(slot as u16);
        }
        None
    }

    fn slot(&self, name: &[u8]) -> usize {
        self.hasher.hash_one(name) as usize % SLOTS
    }
}
