//! Replies that are not the right ones, and those that ask to be asked otherwise.

use super::{GOOD_MANNERS, SECOND, World, fresh};
use crate::load::Plan;
use crate::message::{Edns, GOOD, Question};
use crate::report::{Row, share};
use crate::tally::Tally;
use crate::upstream::{Fault, Forgery};
use crate::{Bench, Subject};
use std::time::Duration;

/// Before each good reply comes one that is not its own.
pub fn forged(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let ways = [
        ("question", Forgery::OtherQuestion),
        ("no question", Forgery::NoQuestion),
        ("QR clear", Forgery::NoReply),
        ("cut body", Forgery::CutBody),
        ("id", Forgery::WrongId),
        ("port", Forgery::OtherPort),
        ("owner", Forgery::OtherOwner),
    ];
    let world = World::start(bench, subject, 1)?;
    world.upstreams[0].slow_down(Duration::from_millis(20));
    let ask = |forgery, fault| {
        world.upstreams[0].behave(fault);
        let plan = Plan::default().add(0, 250, (Duration::ZERO, SECOND), fresh(&format!("{forgery:?}")));
        plan.run(bench.runtime.handle(), world.server.address()).all()
    };
    let row = |(name, forgery)| {
        let (scenario, tally) = (format!("forged {name}"), ask(forgery, Fault::Forges(forgery)));
        if forgery != Forgery::OtherOwner {
            return answered(&scenario, subject, &tally);
        }
        // Such a reply is passed on, as CoreDNS does it. Nobody else may get it.
        let again = ask(forgery, Fault::None);
        got(&scenario, subject, &tally).none_of("bad outcomes for those who ask again", again.bad())
    };
    Ok(ways.into_iter().map(row).collect())
}

/// Replies over UDP are truncated.
pub fn truncated(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let world = World::with(bench, subject, 1, GOOD_MANNERS, |block| block.property("prefer_udp"))?;
    world.upstreams[0].behave(Fault::Truncates);
    let plan = Plan::default().add(0, 500, (Duration::ZERO, bench.part / 2), fresh("truncated"));
    let tally = plan.run(bench.runtime.handle(), world.server.address()).all();
    Ok(vec![answered("tc", subject, &tally)])
}

/// The upstream takes OPT records for a mistake.
pub fn edns(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let world = World::start(bench, subject, 1)?;
    world.upstreams[0].behave(Fault::RefusesEdns);
    let question = |n| {
        let edns = Some([Edns::Plain, Edns::DnssecOk][n % 2]);
        (Question { edns, ..Question::a(format!("edns-{n}.example.org")) }, GOOD)
    };
    let plan = Plan::default().add(0, 500, (Duration::ZERO, bench.part / 2), question);
    let tally = plan.run(bench.runtime.handle(), world.server.address()).all();
    Ok(vec![answered("edns", subject, &tally)])
}

fn answered(scenario: &str, subject: &Subject, tally: &Tally) -> Row {
    got(scenario, subject, tally).none_of("bad outcomes", tally.bad())
}

fn got(scenario: &str, subject: &Subject, tally: &Tally) -> Row {
    Row::new(scenario, &subject.name, tally).note(format!("{} % bad", share(tally.bad(), tally.asked)))
}
