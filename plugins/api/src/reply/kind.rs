//! What a reply says: the classes that caching, logging and reducing tell apart.

use super::{Reply, Section};
use crate::codes::{Opcode, Rcode, RecordType};
use crate::wire::{self, HEADER, flag};
use std::time::Duration;

/// What a reply says (the classes are those of CoreDNS's `plugin/pkg/response`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The answer, or NOERROR that says nothing more.
    Answer,
    /// The name does not exist (RFC 2308 2.1).
    NameError,
    /// The name exists, the type does not: NOERROR with an SOA record (RFC 2308 2.2).
    NoData,
    /// Other servers know: NS records and no answer.
    Delegation,
    /// SERVFAIL or NOTIMP.
    ServerError,
    /// A zone transfer or a NOTIFY.
    Meta,
    /// A dynamic update.
    Update,
    /// Any other error, NXDOMAIN with records in its answer, or a signature that is not valid now.
    Other,
}

impl Reply {
    /// What the message says; [`Kind::Other`] where there is none. `now` gives the time since 1970; it is asked for only
    /// where the reply has DO set, to check the validity of signatures.
    pub fn kind(&self, now: impl FnOnce() -> Duration) -> Kind {
        match Opcode(((self.flags() & flag::OPCODE) >> 11) as u8) {
            _ if !self.is_message() => return Kind::Other,
            Opcode::UPDATE => return Kind::Update,
            Opcode::NOTIFY => return Kind::Meta,
            _ => (),
        }
        if matches!(self.question_type(), Some(RecordType::AXFR | RecordType::IXFR)) {
            return Kind::Meta;
        }
        if self.opt().is_some_and(|o| o.dnssec_ok) && !self.signatures_valid(now().as_secs() as u32) {
            return Kind::Other;
        }
        let answered = self.records.first().is_some_and(|r| r.section == Section::Answer);
        match self.rcode {
            Rcode::NOERROR if answered => Kind::Answer,
            Rcode::NOERROR if self.has_authority(RecordType::SOA) => Kind::NoData,
            Rcode::NOERROR if self.has_authority(RecordType::NS) => Kind::Delegation,
            Rcode::NOERROR => Kind::Answer,
            Rcode::NXDOMAIN if !answered => Kind::NameError,
            Rcode::SERVFAIL | Rcode::NOTIMP => Kind::ServerError,
            _ => Kind::Other,
        }
    }

    fn question_type(&self) -> Option<RecordType> {
        wire::u16_at(&self.wire, HEADER + self.question.get().as_bytes().len()).ok().map(RecordType)
    }

    fn has_authority(&self, rtype: RecordType) -> bool {
        self.records.iter().any(|r| r.section == Section::Authority && r.rtype == rtype)
    }

    /// Whether every signature is valid at `now`, in seconds since 1970 modulo 2^32 (RFC 4034 3.1.5, RFC 1982).
    fn signatures_valid(&self, now: u32) -> bool {
        self.records().filter(|r| r.rtype() == RecordType::RRSIG).all(|r| {
            let field = |at| wire::u32_at(r.raw_data(), at).unwrap_or(now);
            let (expiration, inception) = (field(8), field(12));
            now.wrapping_sub(inception) <= i32::MAX as u32 && expiration.wrapping_sub(now) <= i32::MAX as u32
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameRef;
    use crate::query::Question;
    use crate::reply::{Owner, ReplyOpt};

    const NOW: u32 = 1_700_000_000;

    fn reply(rtype: RecordType, opcode: Opcode, rcode: Rcode, records: &[(Section, RecordType)]) -> Reply {
        let (mut reply, mut question) = (Reply::default(), Question::default());
        question.rtype = rtype;
        reply.start(1, opcode, 0, &question);
        reply.set_rcode(rcode);
        for &(section, rtype) in records {
            reply.push(section, Owner::Question, rtype, 60, |d| d.name(NameRef::ROOT));
        }
        reply
    }

    #[test]
    fn kinds() {
        use Section::{Answer, Authority};
        let (a, ns, soa) = (RecordType::A, RecordType::NS, RecordType::SOA);
        let (ok, nx) = (Rcode::NOERROR, Rcode::NXDOMAIN);
        type Case<'a> = (Rcode, &'a [(Section, RecordType)], Kind);
        let cases: &[Case<'_>] = &[
            (ok, &[], Kind::Answer),
            (ok, &[(Answer, a), (Authority, soa)], Kind::Answer),
            (ok, &[(Authority, ns), (Authority, soa)], Kind::NoData),
            (ok, &[(Authority, ns)], Kind::Delegation),
            (nx, &[(Authority, soa)], Kind::NameError),
            (nx, &[(Answer, a)], Kind::Other),
            (Rcode::SERVFAIL, &[], Kind::ServerError),
            (Rcode::REFUSED, &[(Answer, a)], Kind::Other),
        ];
        for (rcode, records, kind) in cases {
            let reply = reply(a, Opcode::QUERY, *rcode, records);
            assert_eq!(reply.kind(|| unreachable!("no DO")), *kind, "{rcode:?} {records:?}");
        }
        assert_eq!(reply(RecordType::AXFR, Opcode::QUERY, ok, &[]).kind(|| unreachable!()), Kind::Meta);
        assert_eq!(reply(soa, Opcode::NOTIFY, ok, &[]).kind(|| unreachable!()), Kind::Meta);
        assert_eq!(reply(soa, Opcode::UPDATE, ok, &[]).kind(|| unreachable!()), Kind::Update);
        assert_eq!(Reply::default().kind(|| unreachable!()), Kind::Other);
    }

    #[test]
    fn signatures_expire() {
        let signed = |inception: u32, expiration: u32, dnssec_ok| {
            let mut reply = reply(RecordType::A, Opcode::QUERY, Rcode::NOERROR, &[]);
            reply.push(Section::Answer, Owner::Question, RecordType::RRSIG, 60, |d| {
                d.octets(&[0; 8]);
                d.u32(expiration);
                d.u32(inception);
                d.u16(0);
                d.name(NameRef::ROOT);
            });
            reply.set_opt(Some(ReplyOpt { dnssec_ok, ..ReplyOpt::default() }));
            reply.kind(|| Duration::from_secs(NOW.into()))
        };
        assert_eq!(signed(NOW - 10, NOW + 10, true), Kind::Answer);
        assert_eq!(signed(NOW, NOW, true), Kind::Answer);
        assert_eq!(signed(NOW - 20, NOW - 1, true), Kind::Other);
        assert_eq!(signed(NOW + 1, NOW + 20, true), Kind::Other);
        assert_eq!(signed(NOW - 20, NOW - 1, false), Kind::Answer);
    }
}
