//! The entries: two tables, answers and denials.

use crate::entry::{Entry, Time};
use crate::table::{Key, Table};
use api::reply::Kind;
use api::wire::flag;
use api::{Query, Question};
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Instant;

/// Both tables.
pub struct Store {
    success: Table,
    denial: Table,
    hasher: RandomState,
    began: Instant,
}

/// Which table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Answers.
    Success,
    /// Denials and failures.
    Denial,
}

impl Side {
    /// Where a reply of this kind belongs.
    pub fn of(kind: Kind) -> Side {
        match kind {
            Kind::NameError | Kind::NoData | Kind::ServerError => Side::Denial,
            _ => Side::Success,
        }
    }
}

/// Bits of a [`Key`]: DO and CD of the question.
const DNSSEC_OK: u8 = 1;
const CHECKING_DISABLED: u8 = 2;

impl Store {
    /// Empty tables for so many answers and denials; times are counted from `now`.
    pub fn new(success: usize, denial: usize, now: Instant) -> Store {
        let hasher = RandomState::default();
        Store { success: Table::new(success), denial: Table::new(denial), hasher, began: now }
    }

    /// Where a query's answer is: what it depends on, hashed with a key that nobody knows.
    pub fn key(&self, q: &Query) -> Key {
        let dnssec_ok = if q.dnssec_ok() { DNSSEC_OK } else { 0 };
        let checking_disabled = if q.flags() & flag::CD != 0 { CHECKING_DISABLED } else { 0 };
        let bits = dnssec_ok | checking_disabled;
        let Question { rtype, class, .. } = q.question;
        let mut hasher = self.hasher.build_hasher();
        hasher.write(q.name().as_bytes());
        hasher.write_u64(u64::from(rtype.0) << 32 | u64::from(class.0) << 8 | u64::from(bits));
        Key { hash: hasher.finish(), bits }
    }

    /// The time as entries have it.
    pub fn time(&self, now: Instant) -> Time {
        now.saturating_duration_since(self.began).as_nanos() as Time
    }

    /// One of the tables.
    pub fn table(&self, side: Side) -> &Table {
        match side {
            Side::Success => &self.success,
            Side::Denial => &self.denial,
        }
    }

    /// What `read` makes of the newest entry for a question: a denial before an answer, as CoreDNS looks for it.
    pub fn read_any<T>(&self, question: &Question, key: Key, read: impl Fn(Entry<'_>) -> T) -> Option<T> {
        let denial = self.denial.read(question, key, &read);
        denial.or_else(|| self.success.read(question, key, &read))
    }

    /// What `read` makes of the entry for a question that was received at `since`.
    pub fn read_of<T>(&self, question: &Question, key: Key, since: Time, read: impl Fn(Entry<'_>) -> T) -> Option<T> {
        let one = |e: Entry<'_>| [Some(e), e.answer()].into_iter().flatten().find(|e| e.since == since).map(&read);
        let denial = self.denial.read(question, key, one).flatten();
        denial.or_else(|| self.success.read(question, key, one).flatten())
    }
}
