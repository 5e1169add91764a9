//! Random changes under random faults: whatever happens, the index shows states that objects had, in their order, and is equal
//! to what the API server holds in the end.
//!
//! `SEED=N` plays one again (as far as timing allows), `SECONDS=N` goes on for longer.

use super::world::{World, service, slice};
use crate::watch::Pace;
use fastrand::Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::api::Backup;
use tokio::time::sleep;

const PACE: Pace = Pace {
    watch: Duration::from_secs(1),
    trial: Duration::from_secs(1),
    grace: Duration::from_millis(200),
    count: Duration::from_millis(300),
    recount: Duration::from_millis(40),
    resync: Duration::from_millis(500),
    lag: Duration::from_millis(150),
    stall: Duration::from_millis(500),
    page: 20,
};

const KINDS: [&str; 2] = ["Service", "EndpointSlice"];

/// What the objects of a name were, one after the other, and what has been seen of that.
#[derive(Default)]
struct History {
    states: Vec<Option<u16>>,
    seen: usize,
}

struct Play<'a> {
    world: &'a World,
    random: Rng,
    /// By kind and name.
    histories: BTreeMap<(usize, String), History>,
    backup: Option<Backup>,
    down: bool,
    next: u16,
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the seed of a test that fails")]
async fn random_changes_and_random_faults() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let time = Duration::from_secs(number("SECONDS").unwrap_or(4));
    eprintln!("SEED={seed}");
    let world = World::new(&[], PACE).await;
    let mut play = Play::new(&world, seed);
    let playing = async {
        let (mut rounds, begin) = (0, world.clock.now());
        while world.since(begin) < time {
            play.round().await;
            rounds += 1;
        }
        play.heal().await;
        let healed = play.converged().await;
        // What gets lost where all else is well is found, too.
        world.server.fault(|f| f.drop = 3);
        (0..3).for_each(|_| play.change());
        let found = play.converged().await;
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        eprintln!("{rounds} rounds of faults; all right {} after, losses after {}", seconds(healed), seconds(found));
    };
    world.follow(playing).await;
}

impl<'a> Play<'a> {
    fn new(world: &'a World, seed: u64) -> Play<'a> {
        let random = Rng::with_seed(seed);
        let mut play = Play { world, random, histories: BTreeMap::new(), backup: None, down: false, next: 1 };
        let stable = (0..STABLE).map(|i| format!("stable{i}"));
        for name in stable.chain((0..CHANGING).map(|i| format!("n{i}"))) {
            for kind in 0..KINDS.len() {
                play.histories.insert((kind, name.clone()), History::default());
                play.put(kind, &name);
            }
        }
        // Before the first list nothing is known.
        play.histories.values_mut().for_each(|h| h.states.retain(Option::is_some));
        play
    }

    /// A fault, changes under it, and perhaps its end.
    async fn round(&mut self) {
        self.fault().await;
        for _ in 0..self.random.u32(1..12) {
            self.change();
            let pause = Duration::from_micros(self.random.u64(0..8000));
            sleep(pause).await;
            self.look();
        }
        if self.random.u32(..3) > 0 {
            self.heal().await;
        }
    }

    fn change(&mut self) {
        let (kind, name) = (self.random.usize(..KINDS.len()), format!("n{}", self.random.u32(..CHANGING)));
        let exists = self.histories[&(kind, name.clone())].states.last() != Some(&None);
        if exists && self.random.u32(..3) == 0 {
            self.world.server.delete(KINDS[kind], "d", &name);
            self.note(kind, &name, None);
        } else {
            self.put(kind, &name);
        }
    }

    fn put(&mut self, kind: usize, name: &str) {
        let n = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        self.world.server.put(if kind == 0 { service(name, n) } else { slice(name, n) });
        self.note(kind, name, Some(n));
    }

    fn note(&mut self, kind: usize, name: &str, state: Option<u16>) {
        self.histories.get_mut(&(kind, name.to_owned())).expect("a known name").states.push(state);
    }

    async fn fault(&mut self) {
        let now = self.world.clock.now();
        let (server, random) = (&self.world.server, &mut self.random);
        let some = random.u32(1..3);
        match random.u32(..22) {
            0 => server.fault(|f| f.freeze_before = Some(now)),
            1 => server.fault(|f| f.drop = some),
            2 => server.fault(|f| f.truncate = some),
            3 => server.fault(|f| f.garbage = some),
            4 => server.fault(|f| f.gone_midway = some),
            5 => server.fault(|f| f.gone = true),
            6 => server.fault(|f| f.garbage_list = some),
            7 => server.fault(|f| f.truncate_list = some),
            8 => server.fault(|f| f.expire_continue = some),
            9..=11 => server.fault(|f| f.cut = random.u64(1..20_000)),
            12 => server.fault(|f| f.status = [429, 500, 503, 403][random.usize(..4)]),
            13 => server.fault(|f| f.page_delay = 0.03),
            14 => server.fault(|f| f.streaming = !f.streaming),
            15 => server.fault(|f| f.bookmarks = !f.bookmarks),
            16 => server.compact(),
            17 => server.drop_connections(),
            18 if !self.down => server.restart().await.expect("it comes back"),
            19 => {
                server.down().await;
                self.down = true;
            }
            20 => self.backup = Some(server.backup()),
            _ => self.restore(),
        }
    }

    /// The server comes back from the backup: what objects were then, they are again.
    fn restore(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        self.world.server.restore(&backup);
        let held = self.held();
        for ((kind, name), history) in &mut self.histories {
            let state = held.get(&(*kind, name.clone())).copied();
            if history.states.last() != Some(&state) {
                history.states.push(state);
            }
        }
    }

    /// What the server holds.
    fn held(&self) -> BTreeMap<(usize, String), u16> {
        let state = |object: &Value| {
            let kind = KINDS.iter().position(|k| object["kind"] == *k)?;
            let text = object.pointer(["/spec/clusterIP", "/endpoints/0/addresses/0"][kind])?.as_str()?;
            let mut octets = text.rsplit('.').filter_map(|o| o.parse::<u16>().ok());
            let (low, high) = (octets.next()?, octets.next()?);
            Some(((kind, object["metadata"]["name"].as_str()?.to_owned()), high << 8 | low))
        };
        self.world.server.objects().iter().filter_map(state).collect()
    }

    /// No answer is one that was never right, or older than one that was given before.
    fn look(&mut self) {
        for ((kind, name), history) in &mut self.histories {
            let shown = if *kind == 0 { self.world.service(name) } else { self.world.endpoint(name) };
            let at = history.states[history.seen..].iter().position(|state| *state == shown);
            let at = at.unwrap_or_else(|| {
                panic!("{} {name} is {shown:?}, and was {:?} up to now", KINDS[*kind], &history.states[history.seen..])
            });
            history.seen += at;
        }
    }

    async fn heal(&mut self) {
        self.world.server.fault(|f| *f = testkit::api::Faults::default());
        if std::mem::take(&mut self.down) {
            self.world.server.up().await.expect("it comes back");
        }
    }

    /// Waits until index and server hold the same.
    async fn converged(&mut self) -> Duration {
        let begin = self.world.clock.now();
        loop {
            self.look();
            let held = self.held();
            let shown = |(kind, name): &(usize, String)| match kind {
                0 => self.world.service(name),
                _ => self.world.endpoint(name),
            };
            let wrong: Vec<_> = self.histories.keys().filter(|key| shown(key) != held.get(*key).copied()).collect();
            let time = self.world.since(begin);
            if wrong.is_empty() {
                return time;
            }
            assert!(time < PATIENCE, "not as the server has it: {wrong:?}");
            sleep(Duration::from_millis(30)).await;
        }
    }
}

/// Objects that never change, and objects that do.
const STABLE: u32 = 60;
const CHANGING: u32 = 30;
/// How long it may take until all is right.
const PATIENCE: Duration = Duration::from_secs(20);
