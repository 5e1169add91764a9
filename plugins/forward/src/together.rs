//! One query to the upstreams, however many clients ask for the same at the same time.

use api::explain::InfoCode;
use api::reply::{Again, ReplyOpt, Stored};
use api::wire::HEADER;
use api::{Error, Query, Rcode, Result};
use foldhash::quality::RandomState;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Tables that the questions are spread over, so that workers rarely meet.
const SHARDS: usize = 16;

/// Octets of most questions, which need no memory of their own.
const MOST: usize = 64;

/// How an OPT record begins: the root's name and the type (RFC 6891 6.1.2).
const OPT_RECORD: [u8; 3] = [0, 0, 41];

/// The questions that upstreams are being asked, and who waits for their answers.
#[derive(Debug, Default)]
pub struct Together {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

/// One of them, on lines of the CPU's cache of its own: all workers write them.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(Mutex<Table>);

type Table = HashMap<Key, Waiting, BuildHasherDefault<Known>>;

/// Those who wait for the answer to a question, but for the one who asks it.
type Waiting = Vec<oneshot::Sender<Arc<Outcome>>>;

/// What a query to an upstream depends on, but for its ID and the letters of its name.
#[derive(PartialEq, Eq, Debug)]
pub struct Key {
    /// Of the octets, with a key that nobody knows.
    hash: u64,
    octets: SmallVec<[u8; MOST]>,
}

impl Clone for Key {
    fn clone(&self) -> Key {
        Key { hash: self.hash, octets: SmallVec::from_slice(&self.octets) } // at once, not octet by octet
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

/// Gives the hash that a key has.
#[derive(Default)]
struct Known(u64);

impl Hasher for Known {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is hashed as one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What became of a query.
#[derive(Debug)]
pub enum Outcome {
    /// There is a reply, as [`Stored`] has it; with the value of `forward/upstream`.
    Reply(Box<[u8]>, Option<ReplyOpt>, Option<String>),
    /// It failed, after so long.
    Failed(Rcode, String, Option<InfoCode>, Duration),
}

/// Who asks for something.
pub enum Role<'a> {
    /// The first one: asks the upstreams, and tells the others.
    First(Turn<'a>),
    /// One more: waits. Where the first one gives up, it is told nothing.
    Other(oneshot::Receiver<Arc<Outcome>>),
}

/// The right to ask; others are let in when it is dropped.
pub struct Turn<'a> {
    together: &'a Together,
    key: &'a Key,
    ended: bool,
}

/// What the answers to `q` depend on; `None` where its message has records that make it one of its kind.
fn octets(q: &Query) -> Option<SmallVec<[u8; MOST]>> {
    let counts: [u8; 6] = q.packet().get(6..HEADER)?.try_into().ok()?;
    let only_opt = || counts == [0, 0, 0, 0, 0, 1] && q.packet_rest().starts_with(&OPT_RECORD);
    if counts != [0; 6] && !only_opt() {
        return None;
    }
    let mut octets = SmallVec::from_slice(q.name().as_bytes());
    let [[t0, t1], [c0, c1], [f0, f1]] = [q.rtype().0, q.question.class.0, q.flags()].map(u16::to_be_bytes);
    octets.extend_from_slice(&[t0, t1, c0, c1, f0, f1, u8::from(q.transport.is_datagram())]);
    if let Some(edns) = q.edns {
        let [s0, s1] = edns.size.to_be_bytes();
        octets.extend_from_slice(&[s0, s1, edns.version, u8::from(edns.dnssec_ok)]);
        octets.extend_from_slice(&q.edns_options);
    }
    Some(octets)
}

impl Together {
    /// The key of `q`; `None` where nobody else's answer can be its own.
    pub fn key(&self, q: &Query) -> Option<Key> {
        let octets = octets(q)?;
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&octets);
        Some(Key { hash: hasher.finish(), octets })
    }

    /// Begins to ask for something, or to wait for who does already.
    pub fn join<'a>(&'a self, key: &'a Key) -> Role<'a> {
        match self.shard(key).entry(key.clone()) {
            Entry::Vacant(place) => {
                place.insert(Waiting::new());
                Role::First(Turn { together: self, key, ended: false })
            }
            Entry::Occupied(mut place) => {
                let (told, waits) = oneshot::channel();
                place.get_mut().push(told);
                Role::Other(waits)
            }
        }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Table> {
        let number = (key.hash >> 32) as usize; // the table goes by the ends of the hash
        self.shards[number % SHARDS].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Tells those who wait what became of `q`.
    pub fn end(mut self, q: &mut Query, done: &Result, took: impl FnOnce() -> Duration) {
        let waiting = self.leave();
        self.ended = true; // somebody else may have the turn by now
        if !waiting.is_empty() {
            let outcome = Arc::new(Outcome::of(q, done, took()));
            for told in waiting {
                let _ = told.send(outcome.clone()); // who is gone needs no answer
            }
        }
    }

    fn leave(&self) -> Waiting {
        self.together.shard(self.key).remove(self.key).unwrap_or_default()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.leave();
        }
    }
}

impl Outcome {
    fn of(q: &mut Query, done: &Result, took: Duration) -> Outcome {
        let failed = |e: &Error| Outcome::Failed(e.rcode(), e.to_string(), e.info(), took);
        match (done, q.reply.store(|octets| octets.into())) {
            (Err(e), _) => failed(e),
            (Ok(()), Some(octets)) => Outcome::Reply(octets, q.reply.opt().cloned(), q.metadata("forward/upstream")),
            (Ok(()), None) => failed(&Error::msg("no reply")),
        }
    }

    /// Whether it is the end of a wait that one who has `waited` so long, where an attempt takes `attempt`, has not shared.
    pub fn is_hasty(&self, waited: Duration, attempt: Duration) -> bool {
        matches!(self, Outcome::Failed(.., took) if *took >= attempt && waited < attempt)
    }

    /// Makes it that of `q`.
    ///
    /// # Errors
    /// It is one.
    pub fn give(&self, q: &mut Query) -> Result {
        match self {
            Outcome::Reply(octets, opt, upstream) => {
                let id = q.id();
                let Query { question, reply, .. } = &mut *q;
                reply.load(Stored::of(octets), Again { id, flags: (0, 0), ttl: None }, question);
                reply.set_opt(opt.clone());
                if let Some(upstream) = upstream {
                    q.describe("forward/upstream", || upstream.clone());
                }
                Ok(())
            }
            Outcome::Failed(rcode, words, info, _) => {
                let error = Error::msg(words.clone()).with_rcode(*rcode);
                Err(match info {
                    Some(info) => error.with_info(*info),
                    None => error,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{query, text};

    fn table(question: &str) -> (Together, Key) {
        let together = Together::default();
        let key = together.key(&query(question)).expect("a key");
        (together, key)
    }

    #[test]
    fn what_upstreams_may_answer_otherwise_is_another_question() {
        let all = [
            "a.org A",
            "a.org AAAA",
            "b.org A",
            "a.org A CH",
            "a.org A +do",
            "a.org A +nord",
            "a.org A +tcp",
            "a.org A +bufsize=4096",
            "a.org A +opt=10:0102030405060708",
        ];
        let together = Together::default();
        let key = |question: &str| together.key(&query(question)).expect("a key");
        for (place, question) in all.iter().enumerate() {
            assert!(all[..place].iter().all(|other| key(other) != key(question)), "{question}");
        }
        assert_eq!(key("A.org A"), key("a.ORG A"));
    }

    #[test]
    fn all_get_the_answer_with_their_own_letters() {
        let (together, key) = table("a.org A");
        let Role::First(turn) = together.join(&key) else { panic!("the first one asks") };
        let Role::Other(mut waits) = together.join(&key) else { panic!("the second one waits") };
        let mut q = query("a.org A");
        q.respond();
        turn.end(&mut q, &Ok(()), Duration::default);
        let mut other = query("A.Org A");
        waits.try_recv().expect("told").give(&mut other).expect("no error");
        assert_eq!(other.reply.bytes()[12..], other.packet()[12..]);
        assert_eq!((text(&other), text(&q)), ("NOERROR rd".into(), "NOERROR rd".into()));
        assert!(matches!(together.join(&key), Role::First(_)), "the next one asks again");
    }

    #[test]
    fn who_gives_up_lets_others_in() {
        let (together, key) = table("a.org A");
        let Role::First(turn) = together.join(&key) else { panic!("the first one asks") };
        let Role::Other(mut waits) = together.join(&key) else { panic!("the second one waits") };
        drop(turn);
        assert!(waits.try_recv().is_err());
        assert!(matches!(together.join(&key), Role::First(_)));
    }

    #[test]
    fn failures_are_told_too() {
        let (together, key) = table("a.org A");
        let Role::First(turn) = together.join(&key) else { panic!("the first one asks") };
        let Role::Other(mut waits) = together.join(&key) else { panic!("the second one waits") };
        let (refused, second) = (Error::msg("no").with_rcode(Rcode::REFUSED), Duration::from_secs(1));
        turn.end(&mut query("a.org A"), &Err(refused), || second);
        let told = waits.try_recv().expect("told");
        assert!(told.is_hasty(second / 2, second) && !told.is_hasty(second, second));
        assert!(!told.is_hasty(second / 2, 2 * second), "it failed at once");
        let error = told.give(&mut query("a.org A")).expect_err("failed");
        assert_eq!((error.to_string(), error.rcode()), ("no".into(), Rcode::REFUSED));
    }
}
