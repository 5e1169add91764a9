//! A reply from a message that somebody else wrote: an upstream, a transfer, a store.

use super::*;
use crate::wire::read_record;

impl Reply {
    /// Takes a whole message over as it is, ID and question included; an OPT record goes to [`Reply::opt`], a TSIG is dropped.
    ///
    /// # Errors
    /// Where the message is malformed the reply is cleared.
    pub fn adopt(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let error = self.error.take();
        self.clear();
        self.error = error;
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
        let question_end = self.take_question(message)? + 4;
        self.wire.extend_from_slice(message.get(..question_end).ok_or(Malformed)?);
        self.plain = HEADER + self.question.get().as_bytes().len() + 4;
        self.rcode = Rcode(wire::u16_at(message, 2)? & flag::RCODE);
        self.outcome = Outcome::Message;
        self.wire[6..HEADER].fill(0);
        let mut at = question_end;
        for (field, section) in [(6, Section::Answer), (8, Section::Authority), (10, Section::Additional)] {
            for _ in 0..wire::u16_at(message, field)? {
                at = self.take_record(message, at, section)?;
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
    /// Records keep their places, so that pointers stay right; but behind an OPT, which leaves a gap, they are written anew.
    fn take_record(&mut self, message: &[u8], at: usize, section: Section) -> Result<usize, Malformed> {
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
        if start == at {
            let plain = wire::plain_rdata_len(message, r.rtype, r.rdata, r.end)?;
            self.wire.extend_from_slice(&message[at..r.end]);
            let (rdata, end) = (r.rdata as u16, r.end as u16);
            self.records.push(Entry { start: at as u16, rdata, end, rtype: r.rtype, section });
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
