//! One question of many clients, and many questions of one server.

use super::{SLOW_MANNERS, World, fresh};
use crate::load::{Plan, one_by_one};
use crate::message::{AAAA, Edns, GOOD, HESIOD, Question};
use crate::report::Row;
use crate::tally::Tally;
use crate::upstream::Arrival;
use crate::{Bench, Subject};
use std::collections::HashSet;
use std::time::Duration;

/// How long it takes to ask: all have asked before the upstream answers, and any server can read that fast.
const AT_ONCE: Duration = Duration::from_millis(80);
/// Clients that ask at once.
const CLIENTS: u32 = 1000;

/// Many clients ask the same at once.
pub fn same(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let alike = |_| (Question::a("same.example.org"), GOOD);
    let cased = |n| (Question::a(letter_case("same.example.org", n)), GOOD);
    let kinds = |n: usize| (kind(n % KINDS), GOOD);
    Ok(vec![
        crowd(bench, subject, "same alike", alike, 1)?,
        crowd(bench, subject, "same letter case", cased, 1)?,
        crowd(bench, subject, "same kept apart", kinds, KINDS)?,
    ])
}

fn crowd(
    bench: &Bench,
    subject: &Subject,
    scenario: &str,
    question: impl Fn(usize) -> (Question, [u8; 4]),
    expected: usize,
) -> Result<Row, String> {
    let world = World::with(bench, subject, 1, SLOW_MANNERS, |block| block)?;
    let upstream = &world.upstreams[0];
    upstream.take();
    let plan = Plan::default().add(0, per_second(CLIENTS, AT_ONCE), (Duration::ZERO, AT_ONCE), question);
    let tally = plan.run(bench.runtime.handle(), world.server.address()).all();
    let arrivals = questions(upstream.take());
    let keys: HashSet<Vec<u8>> = arrivals.iter().filter_map(|a| Some(a.asked()?.key())).collect();
    let row = Row::new(scenario, &subject.name, &tally)
        .note(format!("{} upstream questions, {} different", arrivals.len(), keys.len()))
        .bar(&format!("upstream questions are {expected}"), arrivals.len(), arrivals.len() == expected)
        .bar(&format!("different ones are {expected}"), keys.len(), keys.len() == expected)
        .none_of("bad outcomes", tally.bad());
    Ok(row)
}

fn per_second(number: u32, time: Duration) -> u32 {
    (f64::from(number) / time.as_secs_f64()).round() as u32
}

/// The name with those letters in upper case whose bits are set in a number.
fn letter_case(name: &str, n: usize) -> String {
    let upper = |(place, letter): (usize, char)| {
        if n >> (place % 10) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
    };
    name.chars().enumerate().map(upper).collect()
}

/// What must not be taken for one another.
fn kind(n: usize) -> Question {
    let question = Question::a("same.example.org");
    match n {
        0 => question,
        1 => Question { cd: true, ..question },
        2 => Question { edns: Some(Edns::DnssecOk), ..question },
        3 => Question { rtype: AAAA, ..question },
        _ => Question { class: HESIOD, ..question },
    }
}

const KINDS: usize = 5;

/// From where and under which numbers a server asks.
pub fn ports(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let world = World::start(bench, subject, 1)?;
    let upstream = &world.upstreams[0];
    upstream.take();
    one_by_one(world.server.address(), (0..QUESTIONS).map(|n| Question::a(format!("one-{n}.example.org"))));
    let one_by_one = questions(upstream.take());
    let world = World::with(bench, subject, 1, SLOW_MANNERS, |block| block)?;
    let upstream = &world.upstreams[0];
    upstream.take();
    let plan = Plan::default().add(0, per_second(QUESTIONS, AT_ONCE), (Duration::ZERO, AT_ONCE), fresh("many"));
    let tally = plan.run(bench.runtime.handle(), world.server.address()).all();
    Ok(vec![
        spread("ports in turn", subject, &Tally::default(), &one_by_one),
        spread("ports at once", subject, &tally, &questions(upstream.take())),
    ])
}

const QUESTIONS: u32 = 400;

fn spread(scenario: &str, subject: &Subject, tally: &Tally, arrivals: &[Arrival]) -> Row {
    let ports = arrivals.iter().map(|a| a.source).collect::<HashSet<u16>>().len();
    let ids = arrivals.iter().filter_map(|a| Some(a.asked()?.id())).collect::<HashSet<u16>>().len();
    let enough = |number: usize| number * 400 >= arrivals.len() * 390 && !arrivals.is_empty();
    Row::new(scenario, &subject.name, tally)
        .note(format!("{} upstream questions, {ports} ports, {ids} numbers", arrivals.len()))
        .bar("390 of 400 ports are different", ports, enough(ports))
        .bar("390 of 400 numbers are different", ids, enough(ids))
}

/// Those that are no health checks.
fn questions(mut arrivals: Vec<Arrival>) -> Vec<Arrival> {
    arrivals.retain(Arrival::is_question);
    arrivals
}
