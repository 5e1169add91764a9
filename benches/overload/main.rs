//! What becomes of a server that is asked more than it can answer.
//!
//! ```text
//! cargo bench --bench overload                                   # this build
//! cargo bench --bench overload -- --seconds 60                   # as long as a spike may last
//! cargo bench --bench overload -- NAME=BINARY …                  # other servers that take CoreDNS's flags, in the same run
//! ```
//!
//! Each server has one core, the load another. It is asked until asking more brings no more answers, then three times as fast, nearly all of it by one
//! client and a hundredth of that by each of ten others; then it is left alone, given 10,000 connections that say nothing, and
//! started anew under the same load. The exit status is 1 when a server called `poddns` does not reach one of the bars.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints what it found"
)]

#[path = "../common/cores.rs"]
mod cores;
mod load;
#[path = "../common/memory.rs"]
mod memory;
mod server;

use cores::Cores;
use load::{Clients, Flood};
use server::Server;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A server that is measured.
struct Subject {
    name: String,
    binary: PathBuf,
}

/// What was found, with the bar that it has to reach.
struct Row {
    what: &'static str,
    found: String,
    reached: bool,
}

fn main() -> ExitCode {
    let (subjects, seconds) = arguments();
    let cores = Cores::share_out();
    allow_files();
    let mut missed = false;
    for subject in &subjects {
        println!("{}", subject.name);
        for Row { what, found, reached } in measure(subject, &cores, Duration::from_secs(seconds)) {
            println!("  {what:<74} {found:>16}{}", if reached { "" } else { "  (bar not reached)" });
            missed |= !reached && subject.name == "poddns";
        }
    }
    ExitCode::from(u8::from(missed))
}

/// As many open files as the system allows: ten thousand connections are to be held.
fn allow_files() {
    use rustix::process::{Resource::Nofile, getrlimit, setrlimit};
    let mut limit = getrlimit(Nofile);
    limit.current = limit.maximum;
    setrlimit(Nofile, limit).expect("below the maximum");
}

fn arguments() -> (Vec<Subject>, u64) {
    let (mut subjects, mut seconds) = (Vec::new(), 10);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some((name, binary)) => subjects.push(Subject { name: name.into(), binary: binary.into() }),
            None if word == "--seconds" => seconds = words.next().and_then(|n| n.parse().ok()).unwrap_or(seconds),
            None => (), // --bench, from cargo
        }
    }
    if subjects.is_empty() {
        subjects.push(Subject { name: "poddns".into(), binary: env!("CARGO_BIN_EXE_poddns").into() });
    }
    (subjects, seconds)
}

/// How many answers a second it gives where asking twice as fast brings no more.
fn peak(server: &Server) -> f64 {
    let (mut best, mut rate) = (0.0_f64, 10_000.0);
    loop {
        let flood = Flood::start(server.address(), rate);
        let answers = server.rate(|| std::thread::sleep(Duration::from_secs(2)));
        drop(flood);
        if answers < 1.1 * best {
            return best.max(answers);
        }
        (best, rate) = (answers, 2.0 * rate);
    }
}

fn measure(subject: &Subject, cores: &Cores, time: Duration) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |what, found: String, reached| rows.push(Row { what, found, reached });
    let server = Server::start(cores, &subject.binary);
    let peak = peak(&server);
    let at_peak = server.resident();
    row("answers a second, where asking more brings no more", format!("{peak:.0}"), true);

    let flood = Flood::start(server.address(), 3.0 * peak);
    let others = Clients::new(server.address());
    let mut most = 0.0_f64;
    let mut answered = 0.0;
    let goodput =
        server.rate(|| answered = others.ask(3.0 * peak / 110.0, time, || most = most.max(server.resident())));
    let sent = flood.stop() + 10.0 * 3.0 * peak / 110.0;
    row("asked that many times as fast", format!("{:.2}", sent / peak), sent / peak > 2.5);
    row("  answers a second, as a part of before (bar: 0.9)", format!("{:.2}", goodput / peak), goodput / peak >= 0.9);
    row("  part of the other clients' queries that is answered (bar: 0.9)", format!("{answered:.3}"), answered >= 0.9);
    row("  resident memory, as a part of before (bar: 1.1)", format!("{:.2}", most / at_peak), most / at_peak <= 1.1);
    let after = load::until_calm(server.address());
    row(
        "after the end of it: until twenty answers in a row come within 5 ms (bar: 1 s)",
        format!("{after:.0?}"),
        after.as_secs_f64() <= 1.0,
    );

    let before = server.resident();
    let idle = load::idle_connections(server.address(), 10_000);
    let with = server.resident();
    let took = load::over_a_connection(server.address());
    row("10,000 connections that say nothing: so many are kept", idle.to_string(), true);
    row("  resident memory that they take", format!("{:.1} MB", with - before), with - before < 64.0);
    row("  an answer over a new one of another client (bar: 1 s)", format!("{took:.1?}"), took.as_secs_f64() <= 1.0);
    drop(server);

    let (address, start) = Server::prepare(&subject.binary);
    let flood = Flood::start(address, 3.0 * peak);
    let began = load::first_answer(address, || start(cores));
    drop(flood);
    row(
        "started under that load: until another client has its first answer (bar: 1 s)",
        format!("{:.0?}", began.0),
        began.0.as_secs_f64() <= 1.0,
    );
    rows
}
