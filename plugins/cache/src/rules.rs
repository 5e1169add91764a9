//! What is kept, and for how long.

use crate::store::Side;
use api::reply::Kind;
use api::wire::flag;
use api::{Class, Name, NameRef, Query, Record, RecordType, Reply, Section};
use std::time::Duration;

/// TTL of replies without records, and of those that are no answer, in seconds (CoreDNS's value).
const DEFAULT_TTL: u32 = 5;
/// RFC 6672.
const DNAME: RecordType = RecordType(39);
/// Aliases that are followed in an answer.
const MAX_ALIASES: usize = 64;

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
    /// What is used often is asked for again before it expires.
    pub prefetch: Option<Prefetch>,
    /// What has expired is still answered.
    pub stale: Option<Stale>,
}

/// The property `prefetch`.
#[derive(Clone, Copy, Debug)]
pub struct Prefetch {
    /// Uses of an entry from which on it is asked for again.
    pub amount: u32,
    /// A longer time without use begins the count anew; `None`: every use does.
    pub gap: Option<Duration>,
    /// The part of its life, in hundredths, that is left then.
    pub percentage: u8,
}

impl Prefetch {
    /// Seconds that are left of an entry with this TTL when it is asked for again.
    pub fn threshold(self, ttl: u32) -> i64 {
        (f64::from(self.percentage) / 100.0 * f64::from(ttl)).ceil() as i64
    }
}

/// The properties `serve_stale` and `serve_stale_policy`.
#[derive(Clone, Copy, Debug)]
pub struct Stale {
    /// Seconds for which an entry is still answered after it has expired.
    pub limit: u64,
    /// Whether the upstream is asked first.
    pub mode: Mode,
    /// TTL of such an answer, in seconds; 0 is the entry's own, which has run down.
    pub ttl: u32,
    /// How long the upstream is left alone after a failure.
    pub recheck: Duration,
    /// An answer counts more than a denial that is newer.
    pub prefer_positive: bool,
}

/// When what has expired is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// At once; then it is asked for again.
    Immediate,
    /// When the upstream does not answer; zero is for as long as that takes.
    Verify(Duration),
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

/// What becomes of a reply.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// What it says: an answer that leads nowhere, and says so, is a denial.
    pub kind: Kind,
    /// It is complete and answers the question.
    pub answering: bool,
    /// It may be kept.
    pub keep: bool,
}

impl Rules {
    /// What becomes of the reply of `q`, which says `kind`.
    pub fn judge(&self, q: &Query, kind: Kind) -> Verdict {
        let empty = answers(q).next().is_none();
        let Answering { answers, foreign } = Answering::of(q);
        let answers = answers && !empty;
        let kind = if denies(&q.reply, kind, || !empty && !answers) { Kind::NoData } else { kind };
        let complete = q.reply.flags() & flag::TC == 0;
        let worth = match kind {
            // Without an SOA there is no telling for how long something does not exist (RFC 2308 5).
            Kind::Answer => empty || answers,
            Kind::NameError => has_soa(&q.reply),
            Kind::NoData | Kind::ServerError | Kind::Delegation => true,
            Kind::Meta | Kind::Update | Kind::Other => false,
        };
        let excepted = match Side::of(kind) {
            Side::Success => &self.no_success,
            Side::Denial => &self.no_denial,
        };
        let keep = complete && worth && !foreign && !excepted.iter().any(|zone| q.name().is_below(zone.as_ref()));
        Verdict { kind, answering: complete && answers && kind == Kind::Answer, keep }
    }

    /// What the reply of `q` says, as in a [`Verdict`], where nothing else of that is needed.
    pub fn kind(&self, q: &Query, kind: Kind) -> Kind {
        let leads_nowhere = || answers(q).next().is_some() && !Answering::of(q).answers;
        if denies(&q.reply, kind, leads_nowhere) { Kind::NoData } else { kind }
    }

    /// The one TTL that all records of a reply get, in seconds.
    pub fn ttl(&self, reply: &Reply, kind: Kind) -> u32 {
        let counts = matches!(kind, Kind::Answer | Kind::NameError | Kind::NoData);
        // RFC 2181 8: with the highest bit set it is to be taken for 0.
        let ttls = reply.ttls().map(|ttl| if ttl > i32::MAX as u32 { 0 } else { ttl });
        let smallest = ttls.min().filter(|_| counts).unwrap_or(DEFAULT_TTL);
        match kind {
            Kind::NameError | Kind::NoData => self.denial.clamp(smallest),
            Kind::ServerError => self.servfail,
            _ => self.success.clamp(smallest),
        }
    }

    /// Seconds for which what has expired is still of use.
    pub fn stale_seconds(&self) -> u64 {
        self.stale.as_ref().map_or(0, |stale| stale.limit)
    }

    /// Whether an answer that has expired counts more than a denial.
    pub fn prefers_positive(&self) -> bool {
        self.stale.as_ref().is_some_and(|stale| stale.prefer_positive)
    }
}

/// Whether a reply of this kind denies, as it says with an SOA record, and has an answer only because aliases lead there.
fn denies(reply: &Reply, kind: Kind, leads_nowhere: impl FnOnce() -> bool) -> bool {
    kind == Kind::Answer && has_soa(reply) && leads_nowhere()
}

/// How the answer section of a reply relates to the question.
struct Answering {
    /// It has a record of the type and class asked for, of the name that aliases lead to.
    answers: bool,
    /// It has records of other names than those, or of another class: nobody has asked for them.
    foreign: bool,
}

impl Answering {
    fn of(q: &Query) -> Answering {
        let fits = |r: &Record<'_>| r.rtype() == q.rtype() || q.rtype() == RecordType::ANY;
        let plain =
            |r: Record<'_>| r.rtype() != RecordType::CNAME && in_class(&r, q.question.class) && r.is_of(q.name());
        if answers(q).all(plain) {
            return Answering { answers: answers(q).any(|r| fits(&r)), foreign: false };
        }
        let aliases = Aliases::of(q);
        let owned = |r: &Record<'_>, name: &Name| r.is_of(name.as_ref());
        let answered = match q.rtype() {
            RecordType::ANY => answers(q).any(|r| r.is_of(q.name()) && in_class(&r, q.question.class)),
            RecordType::CNAME => aliases.first_is_one && aliases.names.len() > 1,
            _ => {
                let end = aliases.names.last().filter(|_| aliases.sound);
                end.is_some_and(|end| answers(q).any(|r| fits(&r) && in_class(&r, q.question.class) && owned(&r, end)))
            }
        };
        let known = |r: &Record<'_>| {
            let above = matches!(r.rtype(), DNAME | RecordType::RRSIG);
            aliases.names.iter().any(|name| owned(r, name) || above && is_above(r, name))
        };
        let foreign = answers(q).any(|r| !in_class(&r, q.question.class) || !known(&r));
        Answering { answers: answered, foreign }
    }
}

/// The names that CNAME records of an answer lead to, the one asked for first.
struct Aliases {
    names: Vec<Name>,
    /// The first name has one target, not several.
    first_is_one: bool,
    /// Every name has one target (RFC 2181 10.1), and they do not lead in a circle.
    sound: bool,
}

impl Aliases {
    fn of(q: &Query) -> Aliases {
        let mut aliases = Aliases { names: vec![q.name().to_name()], first_is_one: true, sound: true };
        let mut target = Vec::new();
        while let Some(name) = aliases.names.last().cloned() {
            let mut next: Option<Name> = None;
            for r in answers(q).filter(|r| r.rtype() == RecordType::CNAME && r.is_of(name.as_ref())) {
                target.clear();
                r.read_data(&mut target);
                let found = NameRef::read(&target).map(NameRef::to_lower);
                aliases.sound &= next.is_none() || next == found;
                next = found;
            }
            let Some(next) = next else { break };
            if aliases.names.len() == 1 {
                aliases.first_is_one = aliases.sound;
            }
            if aliases.names.contains(&next) || aliases.names.len() > MAX_ALIASES {
                aliases.sound = false;
            }
            aliases.names.push(next);
            if !aliases.sound {
                break;
            }
        }
        aliases
    }
}

fn answers(q: &Query) -> impl Iterator<Item = Record<'_>> {
    q.reply.records().take_while(|r| r.section() == Section::Answer)
}

/// Whether `name` is the owner, or below it.
fn is_above(r: &Record<'_>, name: &Name) -> bool {
    let mut owner = Vec::new();
    r.read_owner(&mut owner);
    NameRef::read(&owner).is_some_and(|owner| name.as_ref().is_below(owner.to_lower().as_ref()))
}

fn in_class(r: &Record<'_>, class: Class) -> bool {
    class == Class::ANY || r.class() == class
}

fn has_soa(reply: &Reply) -> bool {
    let mut behind_answer = reply.records().rev().take_while(|r| r.section() > Section::Answer);
    behind_answer.any(|r| r.section() == Section::Authority && r.rtype() == RecordType::SOA)
}
