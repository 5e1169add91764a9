//! Changes that move octets: the message is written anew, compressed as far as RFC 1035 4.1.4 and RFC 3597 4 allow.

use super::*;
use crate::wire::{Piece, REACH};
use foldhash::fast::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;

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

    /// Puts the records into another order, which names each of them once (places in [`Reply::records`], sections in their order).
    /// What moves is moved as it stands where no name may point to it; else the message is written anew.
    pub fn reorder(&mut self, order: &[u16]) {
        let Some(first) = order.iter().enumerate().position(|(i, &from)| usize::from(from) != i) else { return };
        if !self.moves_freely(first) {
            self.rearrange(order.iter().map(|&i| i.into()), usize::MAX);
            return;
        }
        let front = usize::from(self.records[first].start);
        let Names { wire: old, entries, .. } = &mut self.names;
        old.clear();
        old.extend_from_slice(&self.wire[front..]);
        entries.clear();
        entries.extend_from_slice(&self.records);
        let (mut start, mut rest) = (front as u16, &mut self.wire[front..]);
        for (record, &from) in self.records[first..].iter_mut().zip(&order[first..]) {
            let entry = entries[usize::from(from)];
            let octets = &old[usize::from(entry.start) - front..usize::from(entry.end) - front];
            let (place, behind) = rest.split_at_mut(octets.len());
            place.copy_from_slice(octets);
            let (rdata, end) = (start + (entry.rdata - entry.start), start + (entry.end - entry.start));
            *record = Entry { start, rdata, end, ..entry };
            (start, rest) = (end, behind);
        }
    }

    /// The records of `range`, where they may change places as they stand: they are of one type, each has `N` octets, and no name may
    /// point to one in them.
    pub fn alike<const N: usize>(&mut self, range: Range<usize>) -> Option<&mut [[u8; N]]> {
        let records = self.records.get(range.clone())?;
        let (first, last) = (*records.first()?, *records.last()?);
        let same = records.iter().all(|r| usize::from(r.end - r.start) == N && r.rtype == first.rtype);
        let octets = usize::from(first.start)..usize::from(last.end);
        (same && self.moves_freely(range.start)).then(|| self.wire[octets].as_chunks_mut().0)
    }

    /// Whether the records from `first` on hold no name that another could point to: owners that are pointers to what stands in
    /// front of them all, and data without names. Names point backwards only, so that those in front are no danger either.
    fn moves_freely(&self, first: usize) -> bool {
        let front = self.records[first].start.min(REACH as u16);
        // Mostly each is of the type of the one before it.
        let mut before = None;
        self.records[first..].iter().all(|e| {
            let owner = wire::u16_at(&self.wire, e.start.into()).unwrap_or(0);
            let bare = before.replace(e.rtype) == Some(e.rtype) || wire::layout(e.rtype).is_empty();
            bare && (0xc000..=0xffff).contains(&owner) && owner - 0xc000 < front
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{query, record};
    use std::net::Ipv4Addr;

    fn shown(reply: &Reply) -> Vec<String> {
        reply.records().map(|r| record(&r)).collect()
    }

    /// Two SRV records, with the addresses of their targets.
    fn ports(reply: &mut Reply, owner: impl Fn(usize) -> Owner<'static>) {
        for target in [&b"\x01x\x03net\0"[..], b"\x02yy\x03net\0"] {
            reply.push(Section::Answer, Owner::Question, RecordType::SRV, 5, |d| {
                [0, 1, 80].into_iter().for_each(|n| d.u16(n));
                d.name(NameRef::read(target).expect("a name"));
            });
        }
        for last in 0..2 {
            let address = Ipv4Addr::new(10, 0, 0, last).into();
            reply.push_address(Section::Additional, owner(last.into()), 5, address);
        }
    }

    #[test]
    fn targets_own_addresses_with_a_pointer() {
        let [mut q, mut written_out] = [(); 2].map(|()| query("p.org SRV"));
        ports(q.respond(), Owner::Target);
        let names = [&b"\x01x\x03net\0"[..], b"\x02yy\x03net\0"].map(|name| NameRef::read(name).expect("a name"));
        ports(written_out.respond(), |n| Owner::Name(names[n]));
        let lines = shown(&q.reply);
        assert_eq!(lines[2..], ["x.net. 5 IN A 10.0.0.0", "yy.net. 5 IN A 10.0.0.1"]);
        assert_eq!((&lines, q.reply.plain_len()), (&shown(&written_out.reply), written_out.reply.plain_len()));
        assert_eq!(written_out.reply.bytes().len() - q.reply.bytes().len(), 7 + 8 - 4);
        q.reply.push_address(Section::Additional, Owner::Target(2), 5, Ipv4Addr::LOCALHOST.into());
        q.reply.push_address(Section::Additional, Owner::Target(9), 5, Ipv4Addr::LOCALHOST.into());
        assert_eq!(q.reply.records().len(), 4, "no SRV record");
    }

    #[test]
    fn records_change_places() {
        // What moves may be moved as it stands only where all owners are pointers to what does not move.
        for (name, order) in [("pointers", [0, 1, 3, 2]), ("the targets move too", [1, 0, 3, 2])] {
            let mut q = query("p.org SRV");
            ports(q.respond(), Owner::Target);
            q.reply.push_address(Section::Additional, Owner::Target(0), 5, "2001:db8::1".parse().expect("an address"));
            let (before, plain) = (shown(&q.reply), q.reply.plain_len());
            let order: Vec<u16> = order.into_iter().chain([4]).collect();
            q.reply.reorder(&order);
            let after: Vec<_> = order.iter().map(|&i| before[usize::from(i)].clone()).collect();
            assert_eq!((shown(&q.reply), q.reply.plain_len()), (after, plain), "{name}");
            let again = q.reply.bytes().to_vec();
            q.reply.adopt(&again).expect("well formed");
            assert_eq!(q.reply.records().len(), 5, "{name}");
        }
    }

    #[test]
    fn records_that_are_alike_change_places_as_they_stand() {
        let mut q = query("p.org SRV");
        ports(q.respond(), Owner::Target);
        let reply = &mut q.reply;
        reply.push_address(Section::Additional, Owner::Target(0), 6, Ipv4Addr::BROADCAST.into());
        let before = shown(reply);
        let addresses = reply.alike::<16>(2..5).expect("addresses with pointers");
        addresses.rotate_left(1);
        assert_eq!(shown(reply), [0, 1, 3, 4, 2].map(|i: usize| before[i].clone()));
        assert!(reply.alike::<16>(1..3).is_none() && reply.alike::<25>(0..1).is_none(), "names in their data");
        assert!(reply.alike::<16>(3..3).is_none() && reply.alike::<16>(3..6).is_none(), "no such records");
        reply.push_address(Section::Additional, Owner::Target(0), 5, "2001:db8::1".parse().expect("an address"));
        assert!(reply.alike::<16>(2..5).is_some() && reply.alike::<28>(5..6).is_some());
        assert!(reply.alike::<16>(2..6).is_none(), "of another length");
        let name = NameRef::read(b"\x01x\x03net\0").expect("a name");
        reply.push_address(Section::Additional, Owner::Name(name), 5, Ipv4Addr::LOCALHOST.into());
        assert!(reply.alike::<16>(2..5).is_none(), "a name that others may point to");
    }

    #[test]
    fn records_of_other_lengths_change_places() {
        let mut q = query("p.org ANY");
        let reply = q.respond();
        reply.push_address(Section::Answer, Owner::Question, 5, Ipv4Addr::LOCALHOST.into());
        reply.push_address(Section::Answer, Owner::Suffix(2), 6, "::1".parse().expect("an address"));
        reply.push_address(Section::Answer, Owner::Question, 7, Ipv4Addr::BROADCAST.into());
        let before = shown(reply);
        reply.reorder(&[2, 0, 1]);
        assert_eq!(shown(reply), [2, 0, 1].map(|i: usize| before[i].clone()));
        reply.reorder(&[0, 1, 2]);
        assert_eq!(shown(reply)[0], before[2]);
    }

    #[test]
    fn the_one_ttl_of_all_records_is_known_only_where_there_is_one() {
        let mut reply = Reply::default();
        reply.start(1, Opcode::QUERY, 0, &Question::default());
        let push =
            |reply: &mut Reply, ttl| reply.push_set(Section::Answer, Owner::Question, RecordType::A, ttl, [[0; 4]; 2]);
        let told = |reply: &Reply| {
            let (told, real): (Vec<_>, Vec<_>) = (reply.ttls().collect(), reply.records().map(|r| r.ttl()).collect());
            assert!(
                real.iter().all(|ttl| told.contains(ttl)) && told.iter().all(|ttl| real.contains(ttl)),
                "{told:?} {real:?}"
            );
            told.len()
        };
        assert_eq!(told(&reply), 0);
        reply.set_ttl(9);
        push(&mut reply, 5);
        assert_eq!(told(&reply), 1);
        push(&mut reply, 6);
        assert_eq!(told(&reply), 4, "each by itself");
        reply.set_ttl(7);
        assert_eq!(told(&reply), 1);
        reply.map_ttls(|_, ttl| ttl + 1);
        assert_eq!(told(&reply), 4);
        reply.reorder(&[3, 2, 1, 0]);
        reply.drop_from(Section::Answer);
        assert_eq!(told(&reply), 0);
        push(&mut reply, 3);
        assert_eq!(told(&reply), 1);
    }

    #[test]
    fn a_set_is_what_its_records_are_one_by_one() {
        let name = NameRef::read(b"\x01x\x03net\0").expect("a name");
        let begun = |room| {
            let mut q = query("p.org A");
            q.respond().set_room(room);
            q.reply.push(Section::Answer, Owner::Question, RecordType::CNAME, 6, |d| d.name(name));
            q.reply
        };
        for (owner, count, room) in [Owner::Question, Owner::Name(name)]
            .into_iter()
            .flat_map(|owner| (0..20).flat_map(move |n: u32| [(owner, n, 500), (owner, n, 40 + 9 * n as usize)]))
        {
            let [mut set, mut single] = [room; 2].map(begun);
            set.push_set(Section::Answer, owner, RecordType::A, 5, (0..count).map(u32::to_be_bytes));
            (0..count).for_each(|n| single.push_address(Section::Answer, owner, 5, Ipv4Addr::from(n).into()));
            let told = |reply: &Reply| (shown(reply), reply.plain_len(), reply.overflowed());
            assert_eq!((set.bytes(), told(&set)), (single.bytes(), told(&single)), "{owner:?} {count} {room}");
        }
    }

    #[test]
    fn a_set_ends_where_the_message_has_no_room() {
        let mut reply = Reply::default();
        reply.start(1, Opcode::QUERY, 0, &Question::default());
        reply.set_room(60);
        reply.push_set(Section::Answer, Owner::Question, RecordType::A, 5, (0..).map(|n: u32| n.to_be_bytes()));
        assert!(reply.overflowed() && (1..4).contains(&reply.records().len()));
    }
}
