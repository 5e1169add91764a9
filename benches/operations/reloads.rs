//! Many reloads under load.

use crate::report::Row;
use crate::scraper::Scraper;
use crate::server::{Ports, Server};
use crate::{Bench, Subject};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::Load;

/// Every reload adds a block or takes it away again, by SIGUSR1.
pub fn reload(bench: &Bench, subject: &Subject) -> Row {
    let ports = Ports::free();
    let server = Server::start(bench, subject, &ports);
    // Until every name is kept.
    let load = Load::start(bench.plan(&ports.dns));
    load.wait_for(10_000);
    load.finish();
    let (before, quiet) = hit_ratio(bench, &ports, || sleep(Duration::from_secs(2)));
    let (listed, resident) = (lists(bench), server.resident());
    let scraper = Scraper::start(ports.pages());
    let begin = Instant::now();
    let (after, tally) = hit_ratio(bench, &ports, || {
        for round in 1..=bench.times {
            server.edit(round);
            server.signal(Signal::USR1);
            server.wait_for("Reloading complete", round);
            sleep(Duration::from_millis(50));
        }
    });
    let row = Row::new("reload", &subject.name, bench.times, begin.elapsed(), &tally).open_all_the_time();
    row.pages(scraper.finish())
        .exactly("relists", lists(bench) - listed, 0)
        .note(format!("hit ratio {before:.4} before, {after:.4} then"))
        .note(format!("slowest before {:.1} ms", quiet.slowest as f64 / 1e3))
        .note(format!("{resident:.0} MB before, {:.0} MB then", server.resident()))
        .bar("hit ratio is kept", after >= before - 0.001)
}

/// How often the objects of a kind were asked for, in pages or as a stream.
fn lists(bench: &Bench) -> usize {
    let is_list = |target: &str| !target.contains("watch=") || target.contains("sendInitialEvents=true");
    bench.api.requests().iter().filter(|request| is_list(&request.target)).count()
}

/// The share of queries for kept names that no upstream was asked for, while something happens.
fn hit_ratio(bench: &Bench, ports: &Ports, happens: impl FnOnce()) -> (f64, testkit::Tally) {
    bench.upstream.take_seen();
    let load = Load::start(bench.plan(&ports.dns));
    happens();
    let tally = load.finish();
    let missed = bench.upstream.take_seen().iter().filter(|seen| seen.question.contains("example")).count();
    (1.0 - missed as f64 / (tally.good as f64 / 2.0), tally)
}
