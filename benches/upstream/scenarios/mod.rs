//! What happens to upstreams, and what clients are to notice of it.

mod faults;
mod replies;
mod saturation;
mod sharing;
mod streams;

use crate::load::Plan;
use crate::message::{GOOD, Question};
use crate::report::Row;
use crate::server::{Block, Server};
use crate::upstream::{Fault, Manners, Upstream};
use crate::{Bench, Subject};
use std::time::Duration;

/// One of the things that can happen.
pub struct Scenario {
    /// As `--only` has it.
    pub name: &'static str,
    /// Measures one server.
    pub run: Run,
}

type Run = fn(&Bench, &Subject) -> Result<Vec<Row>, String>;

/// All of them, in the order of the table.
pub static ALL: &[Scenario] = &[
    Scenario { name: "loss", run: faults::loss },
    Scenario { name: "dead", run: faults::dead },
    Scenario { name: "restart", run: faults::restart },
    Scenario { name: "bad", run: faults::bad },
    Scenario { name: "blackhole", run: saturation::blackhole },
    Scenario { name: "same", run: sharing::same },
    Scenario { name: "ports", run: sharing::ports },
    Scenario { name: "forged", run: replies::forged },
    Scenario { name: "tc", run: replies::truncated },
    Scenario { name: "edns", run: replies::edns },
    Scenario { name: "tcp", run: streams::tcp },
    Scenario { name: "dot", run: streams::dot },
];

/// Well-meaning upstreams and a server that forwards to them.
struct World {
    upstreams: Vec<Upstream>,
    server: Server,
}

impl World {
    /// With so many upstreams, and a cache, as the Corefile of most clusters has it.
    fn start(bench: &Bench, subject: &Subject, upstreams: usize) -> Result<World, String> {
        World::with(bench, subject, upstreams, GOOD_MANNERS, |block| block.line("cache 30"))
    }

    /// With upstreams that behave like this, and what else is to be in the block.
    fn with(
        bench: &Bench,
        subject: &Subject,
        upstreams: usize,
        manners: Manners,
        more: impl FnOnce(Block) -> Block,
    ) -> Result<World, String> {
        let upstreams: Vec<Upstream> =
            (0..upstreams).map(|_| Upstream::start(bench.runtime.handle(), manners)).collect();
        let addresses: Vec<String> = upstreams.iter().map(Upstream::address).collect();
        let block = more(Block::forward(addresses.iter().map(String::as_str)));
        let server = Server::start(bench, subject, &block)?;
        Ok(World { upstreams, server })
    }
}

/// The `n`th of names that are asked for once each.
fn fresh(label: &str) -> impl Fn(usize) -> (Question, [u8; 4]) + '_ {
    move |n| (Question::a(format!("{label}-{n}.example.org")), GOOD)
}

/// A plan of fresh names, from the begin until then.
fn steadily(rate: u32, until: Duration) -> Plan {
    Plan::default().add(0, rate, (Duration::ZERO, until), fresh("steady"))
}

/// How long the way to an upstream and back takes.
const ROUND_TRIP: Duration = Duration::from_millis(10);
const GOOD_MANNERS: Manners = Manners { round_trip: ROUND_TRIP, fault: Fault::None };
/// One that a server knows to be slow, and does not ask twice for that.
const SLOW_MANNERS: Manners = Manners { round_trip: Duration::from_millis(200), fault: Fault::None };
const SECOND: Duration = Duration::from_secs(1);
