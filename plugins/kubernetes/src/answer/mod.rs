//! Answers, written straight from the index into the reply.

mod address;
mod apex;
mod external;
mod find;
mod name;
mod reverse;
mod selection;
mod service;

#[cfg(test)]
pub mod tests;

use crate::Kubernetes;
use crate::index::Index;
use crate::zones::Zone;
use api::{Name, NameRef, Owner, Question, RecordType, Reply, Section};
use find::{Asked, Hit, NoSuchName};
pub use name::Zonal;

/// How far an answer came.
pub enum Verdict {
    /// The reply holds all records that there are; without any, the name exists and the type does not.
    Answered,
    /// The name does not exist.
    NoSuchName,
    /// The reply holds the CNAME records up to a name that this directive does not answer for.
    Elsewhere(Name),
}

/// A question to the cluster, with the zone it concerns.
pub struct Request<'a> {
    /// The question.
    pub question: &'a Question,
    /// The zone.
    pub zone: &'a Zone,
    /// Where the zone begins in the name asked for.
    pub offset: usize,
}

impl<'a> Request<'a> {
    /// The zone in the client's letters.
    fn letters(&self) -> NameRef<'a> {
        self.question.original().suffix(self.offset)
    }

    /// What names of services and name servers end in.
    fn suffix(&self) -> NameRef<'a> {
        self.zone.mangled.as_ref().map_or_else(|| self.letters(), Name::as_ref)
    }

    /// Whether the client wrote the zone in lower case. CoreDNS knows the name servers only then (spec 7.2).
    fn is_plain(&self) -> bool {
        self.letters() == self.zone.name.as_ref()
    }

    /// The name asked for.
    fn asked(&self) -> Asked<'a> {
        Asked { name: self.question.name(), zone: self.zone, letters: self.letters(), offset: self.offset }
    }
}

impl From<NoSuchName> for Verdict {
    fn from(_: NoSuchName) -> Verdict {
        Verdict::NoSuchName
    }
}

impl From<Result<Hit<'_>, NoSuchName>> for Verdict {
    /// No records, whether or not the name exists.
    fn from(found: Result<Hit<'_>, NoSuchName>) -> Verdict {
        if found.is_ok() { Verdict::Answered } else { Verdict::NoSuchName }
    }
}

impl Kubernetes {
    /// Writes the records that answer `request` into `reply`, which is begun and empty.
    pub(crate) fn answer(&self, request: &Request<'_>, reply: &mut Reply) -> Verdict {
        match request.question.rtype {
            RecordType::A | RecordType::AAAA => self.addresses(request, reply),
            RecordType::SRV => self.services(request, reply),
            RecordType::PTR => self.pointers(request, reply),
            RecordType::CNAME => self.alias(request, reply),
            RecordType::TXT => self.text(request, reply),
            RecordType::MX => self.find(&request.asked()).into(),
            RecordType::SOA => {
                if request.offset == 0 {
                    self.soa(request, Section::Answer, reply);
                }
                Verdict::Answered
            }
            RecordType::NS if request.offset == 0 && request.is_plain() => self.name_servers(request, reply),
            _ => self.other(request, reply),
        }
    }

    /// Whether the name asked for exists, as [`Kubernetes::answer`] would find.
    pub(crate) fn knows(&self, request: &Request<'_>) -> bool {
        let asked = request.asked();
        match request.question.rtype {
            RecordType::SOA => true,
            RecordType::PTR => match request.question.name().reverse_address() {
                Some(address) => self.has_pointer(address),
                None => self.find_record(&asked).is_ok(),
            },
            RecordType::TXT => asked.is_version() || self.find_record(&asked).is_ok_and(|hit| !hit.is_bare()),
            _ => self.find(&asked).is_ok(),
        }
    }

    /// What is known of the services of a zone.
    pub(crate) fn services_of(&self, zone: &Zone) -> &Index {
        self.cluster.imports.as_deref().filter(|_| zone.multicluster).unwrap_or_else(|| self.index())
    }

    /// The one CNAME of a name that leads to another.
    fn alias(&self, request: &Request<'_>, reply: &mut Reply) -> Verdict {
        let found = self.find(&request.asked());
        if let Some(target) = found.as_ref().ok().and_then(Hit::leads_to) {
            self.cname(Owner::Question, target.as_ref(), reply);
        }
        found.into()
    }

    /// The version of the naming scheme; other names have no text (spec 7.3).
    fn text(&self, request: &Request<'_>, reply: &mut Reply) -> Verdict {
        let asked = request.asked();
        if asked.is_version() {
            reply.push(Section::Answer, Owner::Question, RecordType::TXT, VERSION_TTL, |d| d.text(VERSION));
            return Verdict::Answered;
        }
        match self.find_record(&asked) {
            Ok(hit) if hit.is_bare() => Verdict::NoSuchName,
            found => found.into(),
        }
    }

    /// Types of which there are no records: whether the name exists. A name that leads elsewhere is looked up nevertheless.
    fn other(&self, request: &Request<'_>, reply: &mut Reply) -> Verdict {
        let verdict = self.addresses(request, reply);
        reply.drop_from(Section::Answer);
        verdict
    }

    fn cname(&self, owner: Owner<'_>, target: NameRef<'_>, reply: &mut Reply) {
        reply.push(Section::Answer, owner, RecordType::CNAME, self.rules.ttl, |d| d.name(target));
    }

    /// The SOA record of the zone.
    pub(crate) fn soa(&self, request: &Request<'_>, section: Section, reply: &mut Reply) {
        let offset = request.offset;
        let (ttl, serial) = (self.rules.ttl, self.services_of(request.zone).serial());
        reply.push(section, Owner::Suffix(offset), RecordType::SOA, ttl.min(NEGATIVE_TTL), |d| {
            d.under_question_compressed(b"\x02ns\x03dns", offset);
            d.under_question_compressed(b"\x0ahostmaster", offset);
            d.octets([serial, 7200, 1800, 86_400, ttl].map(u32::to_be_bytes).as_flattened());
        });
    }
}

/// The version of the naming scheme that is followed.
const VERSION: &[u8] = b"1.1.0";
/// In seconds, as CoreDNS has it.
const VERSION_TTL: u32 = 28_800;
/// What the SOA record's own TTL is at most, in seconds.
pub const NEGATIVE_TTL: u32 = 300;
