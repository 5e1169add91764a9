//! One scenario from its start to its end.

use super::compare;
use super::scenario::{Labelled, Running, Scenario, Start};
use super::step::run;
use super::world::{World, code};
use crate::differences::{Case, wanted};
use fancy_regex::Regex;
use serde_json::Value;
use std::io;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// How a scenario went; each of its replies counts, or its start where there are none.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) passed: usize,
    pub(super) skipped: usize,
    pub(super) differences: Vec<String>,
}

/// Plays a scenario and compares.
pub(super) async fn play(labelled: &Labelled) -> Outcome {
    let scenario = &labelled.scenario;
    if scenario.out_of_reach().is_some() {
        let replies = scenario.steps.iter().flatten().filter(|s| s.reply.is_some());
        return Outcome { skipped: replies.count(), ..Outcome::default() };
    }
    match timeout(BOUND, run_scenario(scenario)).await {
        Ok(Ok((start, results))) => compared(labelled, &start, &results),
        Ok(Err(e)) => failed(format!("the player: {e}")),
        Err(_) => failed(format!("not at its end after {} s", BOUND.as_secs())),
    }
}

fn failed(why: String) -> Outcome {
    Outcome { differences: vec![why], ..Outcome::default() }
}

fn compared(Labelled { label, scenario }: &Labelled, start: &Start, results: &[Option<Value>]) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some(difference) = compare::start(&scenario.start, start) {
        let message = if let Start::Refused { message, .. } = start { message.as_str() } else { "" };
        let recorded = if let Start::Refused { message, .. } = &scenario.start { message.as_str() } else { "" };
        let case = Case { label, step: "start", want: &recorded.into(), got: &message.into() };
        if message.contains("not supported yet") || wanted(&case).is_some() {
            outcome.skipped += 1;
        } else {
            outcome.differences.push(difference);
        }
        return outcome;
    }
    let Some(steps) = scenario.steps.as_ref().filter(|s| !s.is_empty()) else {
        outcome.passed += 1;
        return outcome;
    };
    for (step, got) in steps.iter().zip(results) {
        let (Some(want), got) = (&step.reply, got.as_ref().unwrap_or(&Value::Null)) else { continue };
        match compare::reply(want, got, step.ttl) {
            None => outcome.passed += 1,
            Some(_) if wanted(&Case { label, step: step.label(), want, got }).is_some() => outcome.skipped += 1,
            Some(difference) => outcome.differences.push(format!("{}: {difference}", step.label())),
        }
    }
    outcome
}

/// How the daemon started, and what the steps saw.
async fn run_scenario(scenario: &Scenario) -> io::Result<(Start, Vec<Option<Value>>)> {
    for _ in 0..2 {
        let played = run_once(scenario).await?;
        // Another process may have taken a port in between.
        let taken = matches!(&played.0, Start::Refused { message, .. } if message.contains("address already in use"));
        if !taken
            || matches!(&scenario.start, Start::Refused { message, .. } if message.contains("address already in use"))
        {
            return Ok(played);
        }
    }
    run_once(scenario).await
}

async fn run_once(scenario: &Scenario) -> io::Result<(Start, Vec<Option<Value>>)> {
    let world = World::new(scenario).await?;
    let mut daemon = world.spawn(scenario)?;
    let ended = match &scenario.steps {
        Some(_) => wait_until_up(&world, &mut daemon, scenario).await?,
        None => wait_for_start(&world, &mut daemon, scenario).await?,
    };
    if ended && scenario.command.is_none() {
        return Ok((refusal(&world, code(daemon.wait().await?)), Vec::new()));
    }
    if let Some(said) = world.objection(scenario).await? {
        return Err(io::Error::other(format!("poddns check, where the server starts: {said}")));
    }
    sleep(Duration::from_secs_f64(if ended { 0.0 } else { scenario.settle })).await;
    let mut results = Vec::new();
    for step in scenario.steps.iter().flatten() {
        results.push(run(&world, step, &mut daemon).await?);
    }
    daemon.kill().await?;
    Ok((Start::Ok(Running::Ok), results))
}

/// Waits until the port that the steps ask is open; whether the daemon has ended instead.
async fn wait_until_up(world: &World, daemon: &mut Child, scenario: &Scenario) -> io::Result<bool> {
    let begin = Instant::now();
    let deadline = Duration::from_secs_f64(scenario.start_timeout);
    while begin.elapsed() < deadline {
        if daemon.try_wait()?.is_some() {
            return Ok(true);
        }
        match world.port("PORT") {
            None => return Ok(false),
            Some(port) if is_open(port).await => {
                wait_for_udp(port).await?;
                break;
            }
            Some(_) => sleep(POLL).await,
        }
    }
    Ok(false)
}

/// Where there are no steps: waits until it is clear that the daemon runs; whether it has ended instead.
///
/// It runs when it says so. One that is told to be quiet, or says nothing yet, gets some time to refuse.
async fn wait_for_start(world: &World, daemon: &mut Child, scenario: &Scenario) -> io::Result<bool> {
    let begin = Instant::now();
    let refuses = matches!(scenario.start, Start::Refused { .. });
    let (said, silent) = if refuses { (AFTER_BANNER, PATIENCE) } else { (Duration::ZERO, SILENT) };
    let (mut banner, mut open) = (None, None);
    loop {
        if daemon.try_wait()?.is_some() {
            return Ok(true);
        }
        if banner.is_none() && BANNER.is_match(&world.log()).unwrap_or(false) {
            banner = Some(Instant::now());
        }
        let port = world.port("PORT");
        if open.is_none() && (port.is_none() || is_open(port.unwrap_or(0)).await) {
            open = Some(Instant::now());
        }
        let late = !refuses && begin.elapsed() >= Duration::from_secs_f64(scenario.start_timeout);
        if late || banner.is_some_and(|t| t.elapsed() >= said) || open.is_some_and(|t| t.elapsed() >= silent) {
            return Ok(false);
        }
        sleep(POLL).await;
    }
}

/// The UDP socket may be opened a little later than the TCP one; some servers open none.
async fn wait_for_udp(port: u16) -> io::Result<()> {
    let begin = Instant::now();
    let mark = format!(":{port:04X}");
    while begin.elapsed() < Duration::from_millis(500) {
        let tables = std::fs::read_to_string("/proc/net/udp")? + &std::fs::read_to_string("/proc/net/udp6")?;
        if tables.lines().filter_map(|l| l.split_whitespace().nth(1)).any(|local| local.ends_with(&mark)) {
            break;
        }
        sleep(POLL).await;
    }
    Ok(())
}

async fn is_open(port: u16) -> bool {
    timeout(Duration::from_millis(200), TcpStream::connect(("127.0.0.1", port))).await.is_ok_and(|c| c.is_ok())
}

/// The first line of what a daemon says that will not start.
fn refusal(world: &World, exit: i32) -> Start {
    let log = world.log();
    let lines: Vec<&str> = log.split('\n').filter(|l| !l.trim().is_empty()).collect();
    let fatal = lines.iter().find(|l| l.starts_with("[FATAL]") || l.starts_with("panic: "));
    let unusual = || lines.iter().find(|l| exit != 0 && !USUAL.is_match(l).unwrap_or(false));
    let said = fatal.or_else(unusual).or(lines.last()).copied().unwrap_or_default();
    Start::Refused { exit, message: world.blank(said) }
}

/// What daemons print when they run.
static BANNER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^(CoreDNS|poddns)-\d").expect("an expression"));
/// Lines that are no refusal.
static USUAL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\[(INFO|WARNING|ERROR|DEBUG)\] |maxprocs: |[IWE]\d{4} )").expect("an expression"));

const POLL: Duration = Duration::from_millis(4);
/// A scenario's longest time.
const BOUND: Duration = Duration::from_secs(240);
/// A daemon that should refuse has so much time after it said that it runs.
const AFTER_BANNER: Duration = Duration::from_millis(300);
/// A daemon that should refuse and says nothing has so much time.
const PATIENCE: Duration = Duration::from_secs(20);
/// A daemon that should run, has opened its port and says nothing runs after so much time.
const SILENT: Duration = Duration::from_millis(150);
