//! A reply kept for later: for caches.

use super::*;

/// A message without OPT record, as it was, ready to be sent again.
#[derive(Debug)]
pub struct Stored {
    wire: Box<[u8]>,
    records: Box<[Entry]>,
    rcode: Rcode,
    plain: usize,
}

impl Stored {
    /// Octets of memory that it takes.
    pub fn size(&self) -> usize {
        size_of::<Stored>() + self.wire.len() + size_of_val(&*self.records)
    }

    /// The second header word.
    pub fn flags(&self) -> u16 {
        wire::u16_at(&self.wire, 2).unwrap_or(0)
    }
}

impl Reply {
    /// A copy of the message; `None` where there is none.
    pub fn store(&self) -> Option<Stored> {
        self.is_message().then(|| Stored {
            wire: self.wire.as_slice().into(),
            records: self.records.as_slice().into(),
            rcode: self.rcode,
            plain: self.plain,
        })
    }

    /// Makes `stored` the reply to a query with this ID and question: a copy, without allocating where the question is written
    /// as it was then. Owners keep the letters that they have. What was there before is gone.
    pub fn load(&mut self, stored: &Stored, id: u16, question: &Question) {
        self.clear();
        self.outcome = Outcome::Message;
        self.wire.extend_from_slice(&stored.wire);
        self.records.extend_from_slice(&stored.records);
        (self.rcode, self.plain) = (stored.rcode, stored.plain);
        self.set_id(id);
        if let Some(name) = stored.wire.get(HEADER..).and_then(NameRef::read) {
            self.question.set(name);
            if name != question.original() {
                self.set_question(question);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_question_keeps_the_records() {
        let (mut reply, mut question) = (Reply::default(), Question::default());
        question.set_name(NameRef::read(b"\x01b\x07example\0").unwrap());
        reply.start(1, Opcode::QUERY, 0, &question);
        for _ in 0..20 {
            reply.push(Section::Answer, Owner::Question, RecordType::TXT, 5, |d| d.text(&[b'x'; 255]));
        }
        let stored = reply.store().unwrap();
        for name in [&b"\0"[..], b"\x01B\x07Example\0", b"\x01b\x07example\0"] {
            question.set_name(NameRef::read(name).unwrap());
            reply.load(&stored, 7, &question);
            let mut owner = Vec::new();
            for r in reply.records() {
                owner.clear();
                r.read_owner(&mut owner);
                assert_eq!(owner, b"\x01b\x07example\0");
            }
            assert_eq!(reply.records().len(), 20);
        }
    }
}
