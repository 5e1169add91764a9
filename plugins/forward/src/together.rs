//! One query to the upstreams, however many clients ask for the same at the same time.

use api::explain::InfoCode;
use api::reply::{Again, ReplyOpt, Stored};
use api::wire::HEADER;
use api::{Error, Query, Rcode, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Tables that the questions are spread over, so that workers rarely meet.
const SHARDS: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How an OPT record begins: the root's name and the type (RFC 6891 6.1.2).
const OPT_RECORD: [u8; 3] = [0, 0, 41];

/// The questions that upstreams are being asked, and who waits for their answers.
#[derive(Debug, Default)]
pub struct Together {
    shards: [Mutex<Table>; SHARDS],
}

type Table = HashMap<Key, Waiting, foldhash::quality::RandomState>;

/// Those who wait for the answer to a question, but for the one who asks it.
type Waiting = Vec<oneshot::Sender<Arc<Outcome>>>;

/// What a query to an upstream depends on, but for its ID and the letters of its name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key(Arc<[u8]>);

/// What became of a query.
#[derive(Debug)]
pub enum Outcome {
    /// There is a reply; with the value of `forward/upstream`.
    Reply(Stored, Option<ReplyOpt>, Option<String>),
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

impl Key {
    /// That of `q`; `None` where its message has records that make it one of its kind.
    pub fn of(q: &Query) -> Option<Key> {
        let packet = q.packet();
        let only_opt = packet.get(6..HEADER)? == [0, 0, 0, 0, 0, 1] && q.packet_rest().starts_with(&OPT_RECORD);
        if packet[6..HEADER] != [0; 6] && !only_opt {
            return None;
        }
        Some(SCRATCH.with_borrow_mut(|key| {
            key.clear();
            key.extend_from_slice(q.name().as_bytes());
            for n in [q.rtype().0, q.question.class.0, q.flags()] {
                key.extend_from_slice(&n.to_be_bytes());
            }
            key.push(u8::from(q.transport.is_datagram()));
            if let Some(edns) = q.edns {
                key.extend_from_slice(&edns.size.to_be_bytes());
                key.extend_from_slice(&[edns.version, u8::from(edns.dnssec_ok)]);
                key.extend_from_slice(&q.edns_options);
            }
            Key(key.as_slice().into())
        }))
    }
}

impl Together {
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
        let octets = &key.0;
        let number = octets.iter().take(16).fold(octets.len(), |sum, octet| sum.rotate_left(5) ^ usize::from(*octet));
        self.shards[number % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Tells those who wait what became of `q`.
    pub fn end(mut self, q: &Query, done: &Result, took: impl FnOnce() -> Duration) {
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
    fn of(q: &Query, done: &Result, took: Duration) -> Outcome {
        let failed = |e: &Error| Outcome::Failed(e.rcode(), e.to_string(), e.info(), took);
        match (done, q.reply.store()) {
            (Err(e), _) => failed(e),
            (Ok(()), Some(stored)) => Outcome::Reply(stored, q.reply.opt().cloned(), q.metadata("forward/upstream")),
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
            Outcome::Reply(stored, opt, upstream) => {
                let id = q.id();
                let Query { question, reply, .. } = &mut *q;
                reply.load(stored, Again { id, flags: (0, 0), ttl: None }, question);
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

    fn key(question: &str) -> Key {
        Key::of(&query(question)).expect("a key")
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
        for (place, question) in all.iter().enumerate() {
            assert!(all[..place].iter().all(|other| key(other) != key(question)), "{question}");
        }
        assert_eq!(key("A.org A"), key("a.ORG A"));
    }

    #[test]
    fn all_get_the_answer_with_their_own_letters() {
        let (together, key) = (Together::default(), key("a.org A"));
        let Role::First(turn) = together.join(&key) else { panic!("the first one asks") };
        let Role::Other(mut waits) = together.join(&key) else { panic!("the second one waits") };
        let mut q = query("a.org A");
        q.respond();
        turn.end(&q, &Ok(()), Duration::default);
        let mut other = query("A.Org A");
        waits.try_recv().expect("told").give(&mut other).expect("no error");
        assert_eq!(other.reply.bytes()[12..], other.packet()[12..]);
        assert_eq!((text(&other), text(&q)), ("NOERROR rd".into(), "NOERROR rd".into()));
        assert!(matches!(together.join(&key), Role::First(_)), "the next one asks again");
    }

    #[test]
    fn who_gives_up_lets_others_in() {
        let (together, key) = (Together::default(), key("a.org A"));
        let Role::First(turn) = together.join(&key) else { panic!("the first one asks") };
        let Role::Other(mut waits) = together.join(&key) else { panic!("the second one waits") };
        drop(turn);
        assert!(waits.try_recv().is_err());
        assert!(matches!(together.join(&key), Role::First(_)));
    }

    #[test]
    fn failures_are_told_too() {
        let (together, key) = (Together::default(), key("a.org A"));
        let Role::First(turn) = together.join(&key) else { panic!("the first one asks") };
        let Role::Other(mut waits) = together.join(&key) else { panic!("the second one waits") };
        let (refused, second) = (Error::msg("no").with_rcode(Rcode::REFUSED), Duration::from_secs(1));
        turn.end(&query("a.org A"), &Err(refused), || second);
        let told = waits.try_recv().expect("told");
        assert!(told.is_hasty(second / 2, second) && !told.is_hasty(second, second));
        assert!(!told.is_hasty(second / 2, 2 * second), "it failed at once");
        let error = told.give(&mut query("a.org A")).expect_err("failed");
        assert_eq!((error.to_string(), error.rcode()), ("no".into(), Rcode::REFUSED));
    }
}
