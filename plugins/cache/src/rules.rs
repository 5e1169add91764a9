//! What is kept, and for how long.

use api::reply::Kind;
use api::wire::flag;
use api::{Name, Query, RecordType, Reply, Section};

/// TTL of replies without records, and of those that are no answer, in seconds (CoreDNS's value).
const DEFAULT_TTL: u32 = 5;

/// The properties of the directive.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Names outside of these are left alone.
    pub zones: Box<[Name]>,
    /// Answers.
    pub success: Limits,
    /// That something does not exist.
    pub denial: Limits,
    /// Seconds for which failures are kept.
    pub servfail: u32,
    /// Names whose answers are not kept.
    pub no_success: Box<[Name]>,
    /// Names whose absence is not kept.
    pub no_denial: Box<[Name]>,
    /// TTLs do not count down.
    pub keep_ttl: bool,
}

/// Bounds of one kind of replies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries.
    pub capacity: usize,
    /// The longest TTL, in seconds.
    pub max: u32,
    /// The shortest TTL, in seconds.
    pub min: u32,
}

impl Limits {
    /// A TTL within the bounds; the upper one counts where they cross.
    fn clamp(self, ttl: u32) -> u32 {
        ttl.max(self.min).min(self.max)
    }
}

impl Rules {
    /// The one TTL that all records of a reply get, in seconds.
    pub fn ttl(&self, reply: &Reply, kind: Kind) -> u32 {
        let counts = matches!(kind, Kind::Answer | Kind::NameError | Kind::NoData);
        let smallest = reply.records().map(|r| r.ttl()).min().filter(|_| counts).unwrap_or(DEFAULT_TTL);
        match kind {
            Kind::NameError | Kind::NoData => self.denial.clamp(smallest),
            Kind::ServerError => self.servfail,
            _ => self.success.clamp(smallest),
        }
    }

    /// Whether a reply is worth keeping at all.
    pub fn keeps(&self, q: &Query, kind: Kind) -> bool {
        let reply = &q.reply;
        let complete = reply.flags() & flag::TC == 0;
        let excepted = |zones: &[Name]| zones.iter().any(|zone| q.name().is_below(zone.as_ref()));
        complete
            && match kind {
                Kind::Answer => !excepted(&self.no_success) && !ends_in_alias(reply, q.rtype()),
                Kind::Delegation => !excepted(&self.no_success),
                // RFC 2308 5: without an SOA there is no telling for how long.
                Kind::NameError => !excepted(&self.no_denial) && has_soa(reply),
                Kind::NoData | Kind::ServerError => !excepted(&self.no_denial),
                Kind::Meta | Kind::Update | Kind::Other => false,
            }
    }
}

fn has_soa(reply: &Reply) -> bool {
    reply.records().any(|r| r.section() == Section::Authority && r.rtype() == RecordType::SOA)
}

/// Whether all that is said are aliases, and nothing of what they lead to: half an answer.
fn ends_in_alias(reply: &Reply, asked: RecordType) -> bool {
    let mut answers = reply.records().filter(|r| r.section() == Section::Answer).peekable();
    answers.peek().is_some()
        && !matches!(asked, RecordType::CNAME | RecordType::ANY)
        && answers.all(|r| r.rtype() == RecordType::CNAME)
        && !has_soa(reply)
}
