//! A reply from a message that somebody else wrote: an upstream, a transfer, a store.

use super::*;
use crate::wire::{Piece, REACH, RecordHead, read_record};
use smallvec::SmallVec;

impl Reply {
    /// Takes a whole message over as it is, ID and question included; an OPT record goes to [`Reply::opt`], a TSIG is dropped.
    ///
    /// # Errors
    /// Where the message is malformed the reply is cleared.
    pub fn adopt(&mut self, message: &[u8]) -> Result<(), Malformed> {
        self.clear_but_error();
        let done = self.index(message);
        if done.is_err() {
            self.clear();
        }
        done
    }

    fn index(&mut self, message: &[u8]) -> Result<(), Malformed> {
        if message.len() > MAX_MESSAGE || wire::u16_at(message, 4)? != 1 {
            return Err(Malformed);
        }
        let name_end = self.take_question(message)?;
        let question_end = name_end + 4;
        self.wire.extend_from_slice(&message[..HEADER]);
        self.wire.extend_from_slice(self.question.get().as_bytes());
        self.wire.extend_from_slice(message.get(name_end..question_end).ok_or(Malformed)?);
        self.plain = HEADER + self.question.get().as_bytes().len() + 4;
        self.rcode = Rcode(wire::u16_at(message, 2)? & flag::RCODE);
        self.outcome = Outcome::Message;
        self.wire[6..HEADER].fill(0);
        let mut labels = Labels::of(message);
        labels.note(&self.wire, HEADER);
        let mut at = question_end;
        for (field, section) in [(6, Section::Answer), (8, Section::Authority), (10, Section::Additional)] {
            for _ in 0..wire::u16_at(message, field)? {
                at = self.take_record(message, at, section, &mut labels)?;
            }
        }
        Ok(())
    }

    /// Takes over the name asked for; returns where it ends.
    fn take_question(&mut self, message: &[u8]) -> Result<usize, Malformed> {
        if let Some(name) = NameRef::read(message.get(HEADER..).ok_or(Malformed)?) {
            self.question.set(name);
            return Ok(HEADER + name.as_bytes().len());
        }
        let mut name = Vec::new();
        let end = wire::read_name(message, HEADER, &mut name)?;
        self.question.set(wire::plain_name(&name)?);
        Ok(end)
    }

    /// Takes over the record at `at`; returns where the next one begins.
    ///
    /// Records keep their places, so that pointers stay right; but behind an OPT, which leaves a gap, they are written anew. So
    /// are those with pointers to what is no name: it may change, and the name with it.
    fn take_record(
        &mut self,
        message: &[u8],
        at: usize,
        section: Section,
        labels: &mut Labels,
    ) -> Result<usize, Malformed> {
        let r = read_record(message, at)?;
        if r.rtype == RecordType::OPT {
            self.rcode.0 |= (r.ttl >> 20) as u16 & 0xff0;
            let options = message[r.rdata..r.end].to_vec();
            self.opt = Some(ReplyOpt { size: r.class.0, dnssec_ok: r.ttl & 0x8000 != 0, options });
            return Ok(r.end);
        }
        if r.rtype == RecordType::TSIG {
            return Ok(r.end);
        }
        let start = self.wire.len();
        if start == at && labels.note_record(message, at, &r)? {
            let plain = wire::plain_rdata_len(message, r.rtype, r.rdata, r.end)?;
            self.wire.extend_from_slice(&message[at..r.end]);
            let (rdata, end) = (r.rdata as u16, r.end as u16);
            self.note(Entry { start: at as u16, rdata, end, rtype: r.rtype, section }, r.ttl);
            self.plain += r.owner_plain + 10 + plain;
            self.bump(section, 1);
        } else {
            let (mut owner, mut data) = (Vec::new(), Vec::new());
            wire::read_name(message, at, &mut owner)?;
            wire::read_rdata(message, r.rtype, r.rdata, r.end, &mut data)?;
            let owner = Owner::Name(wire::plain_name(&owner)?);
            self.push_class(section, owner, (r.rtype, r.class), r.ttl, |d| d.octets(&data));
        }
        Ok(r.end)
    }
}

/// Where labels begin that pointers may lead to: one bit for each place of the message that they can reach (RFC 1035 4.1.4).
struct Labels(SmallVec<[u64; 32]>);

impl Labels {
    /// None yet, of this message.
    fn of(message: &[u8]) -> Labels {
        Labels(SmallVec::from_elem(0, message.len().min(REACH).div_ceil(64)))
    }

    /// Notes the labels of the name at `at`, which has been checked; whether its pointer, if it has one, leads to a label.
    fn note(&mut self, message: &[u8], mut at: usize) -> bool {
        loop {
            match message.get(at).copied().unwrap_or(0) {
                0 => return true,
                high @ 0xc0.. => {
                    let to = usize::from(high & 0x3f) << 8 | usize::from(message.get(at + 1).copied().unwrap_or(0));
                    return self.0.get(to / 64).is_some_and(|bits| bits & 1 << (to % 64) != 0);
                }
                length => {
                    if let Some(bits) = self.0.get_mut(at / 64) {
                        *bits |= 1 << (at % 64);
                    }
                    at += usize::from(length) + 1;
                }
            }
        }
    }

    /// The same for all names of a record.
    fn note_record(&mut self, message: &[u8], at: usize, r: &RecordHead) -> Result<bool, Malformed> {
        let mut sound = self.note(message, at);
        wire::walk_rdata(message, r.rtype, r.rdata, r.end, |piece| {
            if let Piece::Name { at, .. } = piece {
                sound &= self.note(message, at);
            }
        })?;
        Ok(sound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hang_on_what_may_change_are_written_anew() {
        // The owner is the ID, read as a label of one letter, and what follows; the target is a TTL.
        let mut message = b"\x01a\x00\x80\0\x01\0\x02\0\0\0\0\x01b\0\0\x01\0\x01".to_vec();
        message.extend_from_slice(b"\xc0\x00\0\x01\0\x01\x01c\0\0\0\x04\x01\x02\x03\x04");
        message.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x02\xc0\x19");
        let mut reply = Reply::default();
        reply.adopt(&message).unwrap();
        reply.set_id(0xffff);
        reply.map_ttls(|_, _| u32::MAX);
        let mut names = Vec::new();
        reply.records().for_each(|r| r.read_owner(&mut names));
        reply.record(1).unwrap().read_data(&mut names);
        assert_eq!(names, b"\x01a\0\x01b\0\x01c\0");
    }
}
