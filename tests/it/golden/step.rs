//! The steps of a scenario.

use super::ask::Ask;
use super::http::{Extra, fetch};
use super::scenario::{Action, Step};
use super::stream;
use super::world::{World, code};
use fancy_regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use std::io;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// What a step saw; `None` for a step that only acts.
pub(super) async fn run(world: &World, step: &Step, daemon: &mut Child) -> io::Result<Option<Value>> {
    let port = world.port("PORT").unwrap_or(0);
    let seen = match &step.action {
        Action::Ask(line) => Ask::parse(&world.fill(line)).send(port, world.local).await,
        Action::Http(url) => page(step, &world.fill(url)).await,
        Action::Raw(hex) => stream::raw(port, hex, world.local).await?,
        Action::Stream(actions) => {
            let port = step.port.as_ref().map_or(Ok(port), |p| world.fill(p).parse()).map_err(io::Error::other)?;
            stream::stream(port, actions, world.local).await?
        }
        Action::Metric(start) => metric(world, step, &world.fill(start)).await,
        Action::Serial(zone) => serial(world, port, zone).await,
        Action::UpstreamSaw(n) => saw(world, *n, step.all),
        Action::Log(pattern) => log(world, pattern, step.sort)?,
        Action::Exit(seconds) => match timeout(Duration::from_secs_f64(*seconds), daemon.wait()).await {
            Ok(status) => code(status?).into(),
            Err(_) => json!("running"),
        },
        acting => {
            act(world, acting, daemon).await?;
            settle(step).await;
            return Ok(None);
        }
    };
    Ok(Some(seen))
}

/// Steps that change something.
async fn act(world: &World, action: &Action, daemon: &Child) -> io::Result<()> {
    let api = || world.api.as_ref().ok_or_else(|| io::Error::other("a step wants an API server"));
    match action {
        Action::Wait(seconds) => sleep(Duration::from_secs_f64(*seconds)).await,
        Action::Put(object) => api()?.put(world.filled(object)),
        Action::Delete(kind, namespace, name) => api()?.delete(kind, namespace, name),
        Action::Write(name, text) => world.write(name, text)?,
        Action::Remove(name) => world.remove(name)?,
        Action::Script(n, script) => world.upstreams[*n - 1].script(script.clone()),
        Action::Signal(name) => signal(daemon, name)?,
        Action::Api(Value::String(word)) => match word.as_str() {
            "down" => api()?.down().await,
            "up" => api()?.up().await?,
            "drop" => api()?.drop_connections(),
            "compact" => api()?.compact(),
            other => return Err(io::Error::other(format!("api {other}"))),
        },
        Action::Api(faults) => api()?.fault(|f| f.merge(faults).expect("known faults")),
        _ => return Err(io::Error::other("a step that sees something")),
    }
    Ok(())
}

/// Gives a change the time to arrive.
async fn settle(step: &Step) {
    let usual = match step.action {
        Action::Put(_) | Action::Delete(..) | Action::Api(_) => 0.3,
        Action::Signal(_) => 0.5,
        _ => return,
    };
    sleep(Duration::from_secs_f64(step.settle.unwrap_or(usual))).await;
}

fn signal(daemon: &Child, name: &str) -> io::Result<()> {
    let signal = match name {
        "SIGTERM" => Signal::TERM,
        "SIGINT" => Signal::INT,
        "SIGHUP" => Signal::HUP,
        "SIGQUIT" => Signal::QUIT,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        other => return Err(io::Error::other(format!("signal {other}"))),
    };
    let pid = daemon.id().and_then(|id| Pid::from_raw(id as i32));
    // A daemon that has ended gets no signal; the next steps will see that.
    pid.map_or(Ok(()), |pid| kill_process(pid, signal).map_err(io::Error::from))
}

async fn page(step: &Step, url: &str) -> Value {
    let extra = Extra { method: step.method.as_deref(), data: step.data.as_deref(), headers: Some(&step.headers) };
    let page = fetch(url, extra).await;
    let mut out = Map::new();
    out.insert("code".into(), page.code.into());
    if step.body {
        out.insert("body".into(), page.body.into());
    }
    let shown = page.headers.into_iter().filter(|(name, _)| step.show.contains(name));
    out.extend(shown.map(|(name, value)| (name, value.into())));
    out.into()
}

async fn metric(world: &World, step: &Step, start: &str) -> Value {
    let page = fetch(&world.fill(step.at.as_deref().unwrap_or_default()), Extra::default()).await;
    let mut lines: Vec<String> = page.body.lines().filter(|l| l.starts_with(start)).map(|l| world.blank(l)).collect();
    lines.sort();
    lines.into()
}

/// How a zone's serial compares with the last look.
async fn serial(world: &World, port: u16, zone: &str) -> Value {
    let reply = Ask::parse(&format!("{zone} SOA")).serial(port).await;
    let Some(now) = reply else { return json!("none") };
    let last = world.serials.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(zone.to_owned(), now);
    json!(match last {
        _ if now == 0 => "0",
        None => "first",
        Some(last) if now == last => "same",
        Some(last) if now > last => "later",
        Some(_) => "earlier",
    })
}

fn saw(world: &World, n: usize, all: bool) -> Value {
    let line = |seen: testkit::upstream::Seen| {
        let extras = if all { seen.extras } else { Vec::new() };
        std::iter::once(seen.question).chain(extras).collect::<Vec<_>>().join(" +")
    };
    world.upstreams[n - 1].take_seen().into_iter().map(line).collect::<Vec<_>>().into()
}

/// All matches of what the daemon printed: of the group, where the expression has one.
fn log(world: &World, pattern: &str, sort: bool) -> io::Result<Value> {
    let regex = Regex::new(pattern).map_err(io::Error::other)?;
    let mut found = Vec::new();
    for captures in regex.captures_iter(&world.log()) {
        let captures = captures.map_err(io::Error::other)?;
        let group = if captures.len() > 1 { captures.get(1) } else { captures.get(0) };
        found.push(world.blank(group.map_or("", |g| g.as_str())));
    }
    if sort {
        found.sort();
    }
    Ok(found.into())
}
