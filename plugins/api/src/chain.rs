//! The engine: takes a query down a chain of plugins and its reply up again.
//!
//! Two plain loops and no recursion, so that a query can stop anywhere and go on later, on a task.

use crate::explain::InfoCode;
use crate::query::Query;
use crate::{Error, Plugin, Result, Step, Ways};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};

/// How often the plugins of a chain may be asked again for one query ([`Step::Next`] from [`Plugin::reply`]).
const MAX_TURNS: u8 = 64;

/// The plugins of one server block, in the order of the table.
pub struct Chain {
    places: Box<[Place]>,
    /// The first plugin that sees queries.
    top: usize,
    /// As [`Place::up`], for replies from below all plugins.
    bottom: usize,
    panics: Panics,
}

/// A plugin, and where queries go from it.
struct Place {
    link: Link,
    /// The first plugin below that sees queries; where there is none, the place below all.
    down: usize,
    /// The place below the first plugin above that sees replies; 0 where there is none.
    up: usize,
}

/// A plugin and where it comes from.
pub struct Link {
    /// The directive that made it.
    pub name: &'static str,
    /// The plugin.
    pub plugin: Box<dyn Plugin>,
}

/// What to do when a plugin panics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Panics {
    /// Answer SERVFAIL and go on.
    Catch,
    /// Let the process end (directive `debug`).
    End,
}

/// How far a query got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Run {
    /// The reply is complete.
    Done,
    /// The plugin at this place must wait: give the query to a task and call [`Chain::finish`].
    Wait(usize),
    /// A plugin panicked with this query; the reply is SERVFAIL.
    Panicked,
}

impl Chain {
    /// A chain of these plugins.
    pub fn new(links: Vec<Link>, panics: Panics) -> Chain {
        let ways: Vec<Ways> = links.iter().map(|link| link.plugin.ways()).collect();
        let end = ways.len();
        let down = |from: usize| (from..end).find(|&at| ways[at] != Ways::Up).unwrap_or(end);
        let up = |from: usize| (0..from).rev().find(|&at| ways[at] != Ways::Down).map_or(0, |at| at + 1);
        let place = |(at, link)| Place { link, down: down(at + 1), up: up(at) };
        let places = links.into_iter().enumerate().map(place).collect();
        Chain { places, top: down(0), bottom: up(end), panics }
    }

    /// Takes a query as far as it goes without waiting.
    pub fn run(&self, q: &mut Query) -> Run {
        self.guard(q, |q| self.down(q, self.top))
    }

    /// Takes a query as far as it goes without waiting through the plugins below plugin `at`; its reply goes up to that one and no
    /// further, also from [`Chain::finish`].
    pub fn run_below(&self, q: &mut Query, at: usize) -> Run {
        q.floor = at + 1;
        self.guard(q, |q| self.down(q, self.places[at].down))
    }

    /// Takes a query that stopped at plugin `at` to its end; never returns [`Run::Wait`].
    pub async fn finish(&self, q: &mut Query, mut at: usize) -> Run {
        loop {
            let waited = match self.wait(q, at).await {
                Ok(waited) => waited,
                Err(Panicked) => return panicked(q),
            };
            let run = self.guard(q, |q| match waited {
                Ok(Step::Next) => self.down(q, self.places[at].down),
                Ok(Step::Done) => self.up(q, self.places[at].up),
                Ok(Step::Wait) => Run::Wait(at),
                Err(e) => self.failed(q, at, e),
            });
            match run {
                Run::Wait(next) => at = next,
                end => return end,
            }
        }
    }

    /// The plugins with the names of their directives.
    pub fn links(&self) -> impl ExactSizeIterator<Item = &Link> {
        self.places.iter().map(|place| &place.link)
    }

    /// Takes a query to plugin `at` and on down.
    fn down(&self, q: &mut Query, mut at: usize) -> Run {
        while let Some(place) = self.places.get(at) {
            match place.link.plugin.query(q) {
                Ok(Step::Next) => at = place.down,
                Ok(Step::Done) => return self.up(q, place.up),
                Ok(Step::Wait) => return Run::Wait(at),
                Err(e) => return self.failed(q, at, e),
            }
        }
        self.nobody_answers(q)
    }

    /// Takes a reply to the plugin above place `below` and on up.
    fn up(&self, q: &mut Query, mut below: usize) -> Run {
        while below > q.floor {
            let at = below - 1;
            let place = &self.places[at];
            match place.link.plugin.reply(q) {
                Ok(Step::Done) => (),
                Ok(Step::Next) => return self.again(q, at),
                Ok(Step::Wait) => return Run::Wait(at),
                Err(e) => q.reply.fail(e),
            }
            below = place.up;
        }
        Run::Done
    }

    /// Plugin `at` asks those below it once more.
    #[cold]
    fn again(&self, q: &mut Query, at: usize) -> Run {
        q.turns += 1;
        match q.turns {
            0..=MAX_TURNS => self.down(q, self.places[at].down),
            _ => {
                let name = self.places[at].link.name;
                self.failed(q, at, Error::msg(format!("plugin/{name}: asked again too often")))
            }
        }
    }

    #[cold]
    fn failed(&self, q: &mut Query, at: usize, e: Error) -> Run {
        q.reply.fail(e);
        self.up(q, self.places[at].up)
    }

    /// The end of the chain without an answer.
    #[cold]
    fn nobody_answers(&self, q: &mut Query) -> Run {
        let last = self.places.last().map(|place| &place.link);
        match last.and_then(|last| last.plugin.unanswered(q)) {
            Some(rcode) => q.reply.bare(rcode),
            None => {
                let last = last.map_or("", |last| last.name);
                q.reply.fail(Error::msg(format!("plugin/{last}: no next plugin found")));
            }
        }
        self.up(q, self.bottom)
    }

    /// Runs a part of the way, and answers SERVFAIL where a plugin panics in it.
    fn guard(&self, q: &mut Query, part: impl FnOnce(&mut Query) -> Run) -> Run {
        if self.panics == Panics::End {
            return part(q);
        }
        catch_unwind(AssertUnwindSafe(|| part(q))).unwrap_or_else(|_| panicked(q))
    }

    async fn wait(&self, q: &mut Query, at: usize) -> Result<Result<Step>, Panicked> {
        let mut waiting = pin!(self.places[at].link.plugin.wait(q));
        let poll = |cx: &mut Context<'_>| match self.panics {
            Panics::End => waiting.as_mut().poll(cx).map(Ok),
            Panics::Catch => match catch_unwind(AssertUnwindSafe(|| waiting.as_mut().poll(cx))) {
                Ok(poll) => poll.map(Ok),
                Err(_) => Poll::Ready(Err(Panicked)),
            },
        };
        std::future::poll_fn(poll).await
    }
}

struct Panicked;

#[cold]
fn panicked(q: &mut Query) -> Run {
    q.reply.bare(crate::Rcode::SERVFAIL);
    q.reply.explain_in_words(InfoCode::OTHER, "internal error");
    Run::Panicked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::query;
    use crate::{Rcode, Ways};

    /// Leaves a letter of its own on each way: a small one on the way down, a capital one on the way up.
    struct Scribe(char, Ways);

    #[derive(Default)]
    struct Written(String);

    impl Scribe {
        fn write(q: &mut Query, letter: char) {
            let mut written = q.take_note::<Written>().unwrap_or_default();
            written.0.push(letter);
            q.set_note(written);
        }
    }

    impl Plugin for Scribe {
        fn ways(&self) -> Ways {
            self.1
        }

        fn query(&self, q: &mut Query) -> Result<Step> {
            Scribe::write(q, self.0);
            if self.0 != 'z' {
                return Ok(Step::Next);
            }
            q.reply.bare(Rcode::REFUSED);
            Ok(Step::Done)
        }

        fn reply(&self, q: &mut Query) -> Result<Step> {
            Scribe::write(q, self.0.to_ascii_uppercase());
            Ok(Step::Done)
        }
    }

    #[test]
    fn queries_pass_plugins_by_on_ways_that_are_not_theirs() {
        use Ways::{Both, Down, Up};
        for (ways, whole, below_first) in [
            ([Both, Both, Both], "abczCBA", "bczCB"),
            ([Up, Down, Both], "bczCA", "bczC"),
            ([Down, Up, Up], "azCB", "zCB"),
            ([Up, Up, Down], "czBA", "czB"),
        ] {
            let scribes = "abc".chars().zip(ways).chain([('z', Down)]);
            let link = |(letter, ways)| Link { name: "scribe", plugin: Box::new(Scribe(letter, ways)) };
            let chain = Chain::new(scribes.map(link).collect(), Panics::End);
            let (mut q, mut copy) = (query("a. A"), query("a. A"));
            assert_eq!((chain.run(&mut q), chain.run_below(&mut copy, 0)), (Run::Done, Run::Done));
            let written = |q: &mut Query| q.take_note::<Written>().unwrap_or_default().0;
            assert_eq!((&*written(&mut q), &*written(&mut copy)), (whole, below_first), "{ways:?}");
        }
    }
}
