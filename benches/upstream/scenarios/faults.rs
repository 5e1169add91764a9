//! Upstreams that lose packets, die, come back, or answer badly.

use super::{ROUND_TRIP, SECOND, World, steadily};
use crate::report::{Row, milliseconds, share};
use crate::tally::{Outcomes, REFUSED, SERVFAIL};
use crate::upstream::{Arrival, Fault, Upstream};
use crate::{Bench, Subject};
use std::time::{Duration, Instant};

/// The only upstream does not get one of a hundred questions.
pub fn loss(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let world = World::start(bench, subject, 1)?;
    world.upstreams[0].behave(Fault::Loses(10));
    let tally = steadily(2000, bench.part).run(bench.runtime.handle(), world.server.address()).all();
    let row = Row::new("loss 1 %", &subject.name, &tally)
        .at_most("p99.9", tally.latency(0.999), Duration::from_millis(300))
        .none_of("SERVFAIL", tally.servfail())
        .none_of("other bad outcomes", tally.bad() - tally.servfail());
    Ok(vec![row])
}

/// A way to be away.
struct Death {
    name: &'static str,
    kill: fn(&Upstream),
    revive: fn(&Upstream),
    /// How many messages it has got, and those that found its port closed.
    packets: fn(&Upstream) -> usize,
}

const DEATHS: [Death; 2] = [
    Death {
        name: "black hole",
        kill: |upstream| upstream.behave(Fault::BlackHole),
        revive: |upstream| upstream.behave(Fault::None),
        packets: Upstream::count,
    },
    Death { name: "port closed", kill: Upstream::close, revive: Upstream::open, packets: |_| refused_datagrams() },
];

/// Datagrams that found a port of this machine closed, whoever sent them.
fn refused_datagrams() -> usize {
    let all = std::fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let udp = all.lines().filter(|line| line.starts_with("Udp: ")).nth(1);
    udp.and_then(|line| line.split(' ').nth(2)?.parse().ok()).unwrap_or_default()
}

/// One of two upstreams dies and recovers.
pub fn dead(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    DEATHS.iter().map(|death| dead_by(bench, subject, death)).collect()
}

fn dead_by(bench: &Bench, subject: &Subject, death: &Death) -> Result<Row, String> {
    let world = World::start(bench, subject, 2)?;
    let victim = &world.upstreams[0];
    let (alive, dies, back) = (SECOND, SECOND + bench.part / 2, SECOND + bench.part * 3 / 2);
    let detected = (SECOND * 2).min((back - dies) / 2);
    let load = steadily(1000, back + SECOND * 2).start(bench.runtime.handle(), world.server.address());
    load.until(dies);
    (death.kill)(victim);
    load.until(dies + detected);
    let before = (death.packets)(victim);
    load.until(back);
    let late = (death.packets)(victim) - before;
    let recovered = Instant::now();
    (death.revive)(victim);
    let outcomes = load.finish();
    let (both, one) = (outcomes.between(alive, dies), outcomes.between(dies, back));
    let added = one.latency(0.99).saturating_sub(both.latency(0.99));
    let seconds = (back - dies - detected).as_secs_f64();
    let returned = returned(&victim.take(), recovered);
    let row = Row::new(&format!("dead {}", death.name), &subject.name, &one)
        .note(format!("p99 with both {} ms", milliseconds(both.latency(0.99))))
        .note(format!("{:.1} packets/s to the dead", late as f64 / seconds))
        .note(format!("used again after {}", returned.map_or("never".into(), |r| format!("{} ms", milliseconds(r)))))
        .none_of("bad outcomes", outcomes.all().bad())
        .at_most("added p99", added, ROUND_TRIP + Duration::from_millis(50))
        // One at each end of the time that was watched.
        .bar("at most one packet a second to the dead", late, late as f64 <= seconds + 1.0)
        .at_most("used again after", returned.unwrap_or(Duration::MAX), SECOND);
    Ok(row)
}

/// When an upstream is in use again: what comes before the fifth question may be a trial.
fn returned(arrivals: &[Arrival], since: Instant) -> Option<Duration> {
    let fifth = arrivals.iter().filter(|a| a.is_question() && a.at > since).nth(4)?;
    Some(fifth.at - since)
}

/// The only upstream is away for three seconds.
pub fn restart(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    DEATHS.iter().map(|death| restart_by(bench, subject, death)).collect()
}

fn restart_by(bench: &Bench, subject: &Subject, death: &Death) -> Result<Row, String> {
    let world = World::start(bench, subject, 1)?;
    let upstream = &world.upstreams[0];
    let (away, back, end) = (SECOND, SECOND * 4, SECOND * 4 + bench.part.max(SECOND * 2));
    let load = steadily(1000, end).start(bench.runtime.handle(), world.server.address());
    load.until(away);
    (death.kill)(upstream);
    load.until(back);
    (death.revive)(upstream);
    let outcomes = load.finish();
    let (gone, first) = (outcomes.between(away, back), outcomes.between(back, back + SECOND));
    let after = outcomes.between(back + SECOND, end);
    let row = Row::new(&format!("restart {}", death.name), &subject.name, &after)
        .note(format!("while away {} of {} good", gone.good, gone.asked))
        .note(format!("in the first second {} of {} good", first.good, first.asked))
        .none_of("bad outcomes after the first second", after.bad());
    Ok(row)
}

/// A way to answer badly.
type Spoil = fn(&Upstream);

/// One of two upstreams begins to answer badly.
pub fn bad(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let ways: [(&str, Spoil); 3] = [
        ("SERVFAIL", |upstream| upstream.behave(Fault::Says(SERVFAIL))),
        ("REFUSED", |upstream| upstream.behave(Fault::Says(REFUSED))),
        ("slow", |upstream| upstream.slow_down(Duration::from_millis(300))),
    ];
    ways.iter()
        .map(|(name, spoil)| {
            let world = World::start(bench, subject, 2)?;
            Ok(bad_row(name, subject, &spoilt(bench, &world, *spoil)))
        })
        .collect()
}

/// The outcomes from one second after the upstream went bad.
fn spoilt(bench: &Bench, world: &World, spoil: Spoil) -> Outcomes {
    let load = steadily(1000, SECOND * 2 + bench.part).start(bench.runtime.handle(), world.server.address());
    load.until(SECOND);
    spoil(&world.upstreams[0]);
    let mut outcomes = load.finish();
    outcomes.0.retain(|outcome| outcome.asked >= SECOND * 2);
    outcomes
}

fn bad_row(name: &str, subject: &Subject, outcomes: &Outcomes) -> Row {
    let (tally, limit) = (outcomes.all(), Duration::from_millis(150));
    Row::new(&format!("bad {name}"), &subject.name, &tally)
        .note(format!("{} % bad", share(tally.bad(), tally.asked)))
        .note(format!("{} % slow", share(tally.slower_than(limit), tally.asked)))
        .none_of("bad outcomes after the first second", tally.bad())
        .at_most("p99 after the first second", tally.latency(0.99), limit)
}
