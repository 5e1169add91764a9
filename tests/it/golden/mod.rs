//! The golden player: every scenario of `tests/golden` against the real daemon, over real sockets.
//!
//!     cargo test --test it golden                    all families; golden_hosts: one
//!     GOLDEN=kubernetes/headless cargo test …        only scenarios with this in `family/file.json [name]`
//!     GOLDEN_ALL=1                                   scenarios that a later change brings must pass, too
//!     GOLDEN_JOBS=8                                  so many scenarios at a time
//!     GOLDEN_SHOW=10                                 so many differences are shown per scenario
//!     PODDNS=/path/to/binary                         plays against another server
//!
//! `tests/golden/README.md` says what a scenario is and how the copy is renewed. A family's test fails where a reply, or
//! the first line of a refusal, is not the recorded one and `crate::differences` does not say why.

mod ask;
mod compare;
mod http;
mod load;
mod manifests;
mod player;
mod scenario;
mod shown;
mod step;
mod stream;
mod world;

use crate::differences::later;
use player::{Outcome, play};
use scenario::Labelled;
use std::io::Write;
use std::sync::LazyLock;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A test per family.
macro_rules! families {
    ($($test:ident)*) => { $(
        #[test]
        fn $test() {
            play_family(stringify!($test).trim_start_matches("golden_"));
        }
    )* };
}

families! {
    golden_acl golden_any golden_auto golden_bufsize golden_cache golden_chaos golden_config golden_debug golden_dns64
    golden_dnssec golden_erratic golden_errors golden_file golden_forward golden_geoip golden_header golden_health
    golden_hosts golden_kubernetes golden_loadbalance golden_local golden_log golden_loop golden_metadata golden_metrics
    golden_minimal golden_mixed golden_nsid golden_reload golden_rewrite golden_root golden_routing golden_secondary
    golden_server golden_sign golden_template golden_transfer golden_transport golden_tsig golden_view golden_whoami
}

#[test]
fn golden_kubernetes_from_manifests() {
    let scenarios: Vec<_> = load::family("kubernetes").into_iter().filter_map(manifests::from_manifests).collect();
    assert!(scenarios.len() > 150, "{}", scenarios.len());
    play_scenarios("kubernetes from manifests", scenarios);
}

/// Plays a family; says how it went.
///
/// # Panics
/// Something differs that has to be the same.
fn play_family(family: &str) {
    play_scenarios(family, load::family(family));
}

/// Plays scenarios, some at a time; says how it went.
///
/// # Panics
/// Something differs that has to be the same.
fn play_scenarios(family: &str, scenarios: Vec<Labelled>) {
    let begin = Instant::now();
    let mut total = Totals::default();
    let mut notes = Vec::new();
    RUNTIME.block_on(async {
        let played = play_all(scenarios).await;
        let few = played.iter().filter(|(_, outcome)| !outcome.differences.is_empty()).count() <= FEW;
        for (scenario, mut outcome) in played {
            if few && !outcome.differences.is_empty() {
                outcome = play_alone(&scenario).await;
                total.unsteady += usize::from(outcome.differences.is_empty());
            }
            total.add(&scenario.label, outcome, &mut notes);
        }
    });
    notes.sort();
    let Totals { passed, failed, skipped, later, unsteady } = total;
    let seconds = begin.elapsed().as_secs_f32();
    let mut report = notes.iter().fold(String::new(), |all, note| all + note + "\n");
    report += &format!(
        "golden {family}: {passed} passed, {failed} failed, {skipped} skipped, {later} later, {unsteady} unsteady; {seconds:.1} s\n"
    );
    // Straight to the terminal: the counts are of interest when all is well, too.
    let _ = std::io::stderr().write_all(report.as_bytes());
    assert_eq!(failed, 0, "{family}: differences, see above");
}

/// All scenarios that are wanted, some at a time.
async fn play_all(scenarios: Vec<Labelled>) -> Vec<(Labelled, Outcome)> {
    let wanted = setting("GOLDEN", String::new());
    let mut playing = JoinSet::new();
    for scenario in scenarios.into_iter().filter(|s| s.label.contains(&wanted)) {
        playing.spawn(async move {
            let _turn = JOBS.acquire().await.expect("the semaphore is never closed");
            let outcome = play(&scenario).await;
            (scenario, outcome)
        });
    }
    playing.join_all().await
}

/// A busy machine can delay a daemon beyond what a recording allows: once more, while no other scenario is played.
async fn play_alone(scenario: &Labelled) -> Outcome {
    let _turns = JOBS.acquire_many(*AT_A_TIME).await.expect("the semaphore is never closed");
    play(scenario).await
}

/// Counts of replies (of starts, where there are no steps).
#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
    /// Differences that are wanted, and what is not supported yet.
    skipped: usize,
    /// Differences in scenarios that a later change brings.
    later: usize,
    /// Scenarios that passed only when nothing else was played.
    unsteady: usize,
}

impl Totals {
    fn add(&mut self, label: &str, outcome: Outcome, notes: &mut Vec<String>) {
        self.passed += outcome.passed;
        self.skipped += outcome.skipped;
        if !*ALL && later(label).is_some() {
            self.later += outcome.differences.len();
            return;
        }
        self.failed += outcome.differences.len();
        notes.extend(outcome.differences.into_iter().take(*SHOW).map(|d| format!("{label}: {d}")));
    }
}

/// The value of an environment variable.
///
/// # Panics
/// It is not of the right kind.
fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
}

static AT_A_TIME: LazyLock<u32> = LazyLock::new(|| setting("GOLDEN_JOBS", 8));
static JOBS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(*AT_A_TIME as usize));
static SHOW: LazyLock<usize> = LazyLock::new(|| setting("GOLDEN_SHOW", 10));
static ALL: LazyLock<bool> = LazyLock::new(|| setting("GOLDEN_ALL", 0) != 0);
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// Where no more scenarios of a family differ than this, they are played once more.
const FEW: usize = 10;
