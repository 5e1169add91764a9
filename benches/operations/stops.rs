//! Stops and successors under load.

use crate::report::Row;
use crate::server::{Ports, Server};
use crate::{Bench, Subject};
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::{Load, Tally};

/// The server is stopped again and again, each time in the middle of the load. What comes when nothing is open is refused by the
/// system, and no loss; a query without an answer is one.
pub fn stop(bench: &Bench, subject: &Subject) -> Row {
    let (mut all, mut slowest, mut failed, mut took) = (Tally::default(), Duration::ZERO, 0, Duration::ZERO);
    for _ in 0..bench.times {
        let ports = Ports::free();
        let server = Server::start(bench, subject, &ports);
        let (load, begin) = (Load::start(bench.plan(&ports.dns)), Instant::now());
        sleep(LOADED);
        let (end, well) = server.stop();
        add(&mut all, &load.finish());
        took += begin.elapsed();
        (slowest, failed) = (slowest.max(end), failed + usize::from(!well));
    }
    let row = Row::new("stop", &subject.name, bench.times, took, &all).exactly("exit status other than 0", failed, 0);
    row.note(format!("slowest stop {slowest:.1?}"))
}

/// A second process is started on the same port, then the first one is stopped; again and again under one load.
pub fn successor(bench: &Bench, subject: &Subject) -> Row {
    let ports = Ports::free();
    let mut server = Server::start(bench, subject, &ports);
    let (load, begin) = (Load::start(bench.plan(&ports.dns)), Instant::now());
    let (mut slowest, mut failed) = (Duration::ZERO, 0);
    for _ in 0..bench.times {
        sleep(LOADED);
        let successor = Server::start(bench, subject, &ports);
        let (end, well) = std::mem::replace(&mut server, successor).stop();
        (slowest, failed) = (slowest.max(end), failed + usize::from(!well));
    }
    sleep(LOADED);
    let row = Row::new("successor", &subject.name, bench.times, begin.elapsed(), &load.finish());
    row.open_all_the_time().exactly("exit status other than 0", failed, 0).note(format!("slowest stop {slowest:.1?}"))
}

/// How long the load goes on before something happens.
const LOADED: Duration = Duration::from_millis(300);

fn add(all: &mut Tally, one: &Tally) {
    let Tally { good, servfail, other, lost, closed, refused, reset, crossed, slowest } = one;
    all.good += good;
    all.servfail += servfail;
    all.other += other;
    all.lost += lost;
    all.closed += closed;
    all.refused += refused;
    all.reset += reset;
    all.crossed += crossed;
    all.slowest = all.slowest.max(*slowest);
}
