//! What is kept, and for how long.

use api::reply::Kind;
use api::wire::flag;
use api::{Class, Name, NameRef, Query, Record, RecordType, Reply, Section};

/// TTL of replies without records, and of those that are no answer, in seconds (CoreDNS's value).
const DEFAULT_TTL: u32 = 5;
/// Aliases that are followed in an answer.
const MAX_ALIASES: usize = 16;

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
                Kind::Answer => !excepted(&self.no_success) && (is_answer(q) || has_soa(reply)),
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

/// Whether the answer section answers the question: has a record of its type and class for its name, or for the one that
/// aliases lead to. An empty one does too.
fn is_answer(q: &Query) -> bool {
    let answers = || q.reply.records().filter(|r| r.section() == Section::Answer);
    let any = q.rtype() == RecordType::ANY || q.question.class == Class::ANY;
    if any || answers().next().is_none() {
        return true;
    }
    let fits = |r: &Record<'_>| r.rtype() == q.rtype() && r.class() == q.question.class;
    // The common case: the first record is of the name asked for.
    let first = answers().next();
    if first.is_some_and(|r| fits(&r) && r.is_of(q.name())) {
        return true;
    }
    let mut name = q.name().to_name();
    for _ in 0..MAX_ALIASES {
        if answers().any(|r| fits(&r) && r.is_of(name.as_ref())) {
            return true;
        }
        let alias = answers().find(|r| r.rtype() == RecordType::CNAME && r.is_of(name.as_ref()));
        let mut target = Vec::new();
        alias.inspect(|r| r.read_data(&mut target));
        let Some(next) = NameRef::read(&target) else { return false };
        name = next.to_lower();
    }
    false
}
