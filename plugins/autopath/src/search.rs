//! How far the search for one name has come.

use api::name::NameBuf;
use api::reply::{Again, Stored};
use api::{NameRef, Query, Question, Rcode, ReplyOpt};

/// Left in a query whose question is not the client's.
pub struct Search {
    /// What the client asks.
    pub question: Question,
    /// Octets of its name in front of the first domain.
    pub base: usize,
    /// The number of the domain that is asked in.
    pub number: usize,
    /// Whether the name as it stands has been asked for, which ends the search.
    pub complete: bool,
    first: Option<First>,
}

/// The reply in the first domain, which is the answer where nothing else is found.
enum First {
    /// No message but a code.
    Bare(Rcode),
    Message(Box<[u8]>, Box<Question>, Option<ReplyOpt>, Life),
}

/// Whether a reply may be kept; see [`api::Reply::is_live`].
#[derive(PartialEq)]
enum Life {
    Live,
    Stored,
}

impl Search {
    /// A search that begins with the question of `q`, whose name has `base` octets in front of the first domain.
    pub fn new(q: &Query, base: usize) -> Search {
        Search { question: q.question.clone(), base, number: 0, complete: false, first: None }
    }

    /// Asks for the name in `domain`; `false`, and nothing done, where that makes no valid name.
    pub fn ask_in(&self, domain: NameRef<'_>, q: &mut Query) -> bool {
        let mut space = NameBuf::default();
        let labels = &self.question.original().as_bytes()[..self.base];
        let name = space.join(&[labels], domain);
        name.map(|name| q.question.set_name(name)).is_some()
    }

    /// Gives the query the client's question.
    pub fn restore(self, q: &mut Query) {
        q.question = self.question;
    }

    /// Nothing was found: the first reply is the answer.
    pub fn give_up(self, q: &mut Query) {
        q.question = self.question;
        match self.first {
            None => (),
            Some(First::Bare(rcode)) => q.reply.bare(rcode),
            Some(First::Message(octets, question, opt, life)) => {
                // It keeps the question that it answers: the domain as the path has it (CoreDNS behaviour).
                let again = Again { id: q.id(), flags: (0, 0), ttl: None };
                q.reply.load(Stored::of(&octets), again, &question);
                q.reply.set_opt(opt);
                if life == Life::Live {
                    q.reply.set_live();
                }
            }
        }
    }

    /// Keeps the reply if it is the first one.
    pub fn keep_first(&mut self, q: &mut Query) {
        if self.first.is_none() {
            let (reply, question) = (&mut q.reply, Box::new(q.question.clone()));
            let opt = reply.opt().cloned();
            let life = if reply.is_live() { Life::Live } else { Life::Stored };
            let bare = First::Bare(reply.rcode().unwrap_or(Rcode::SERVFAIL));
            let octets = reply.store(|octets| octets.into());
            self.first = Some(octets.map_or(bare, |octets| First::Message(octets, question, opt, life)));
        }
    }
}
