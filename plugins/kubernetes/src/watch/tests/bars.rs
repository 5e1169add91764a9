//! How soon what goes wrong at the API server is put right. The figures are printed.

use super::world::{World, service};
use crate::watch::Pace;
use std::time::Duration;
use tokio::time::sleep;

/// Everything that takes half a minute or more in a server takes a second here.
const FAST: Pace = Pace {
    watch: Duration::from_secs(1),
    trial: Duration::from_secs(1),
    grace: Duration::from_millis(300),
    count: Duration::from_millis(500),
    recount: Duration::from_millis(50),
    resync: Duration::from_millis(1500),
    lag: Duration::from_millis(200),
    stall: Duration::from_secs(1),
    page: 500,
};

/// That of a server. Its slow parts are what the ignored tests are for.
const REAL: Pace = Pace::new(Duration::from_secs(300));

const SERVICES: &[(&str, u16)] = &[("a", 1), ("b", 2), ("old", 7)];

/// Each test says what it measured: `cargo test … -- --nocapture` shows it.
#[expect(clippy::print_stderr, reason = "figures of a test")]
pub fn figure(what: &str, time: Duration, limit: Duration) {
    eprintln!("{what}: {:.2} s (limit {} s)", time.as_secs_f64(), limit.as_secs());
    assert!(time <= limit, "{what}");
}

#[tokio::test]
async fn restarts_with_compacted_history() {
    let world = World::new(SERVICES, REAL).await;
    world
        .follow(async {
            for (round, name) in ["first", "second", "third"].into_iter().enumerate() {
                world.server.down().await;
                world.server.compact();
                sleep(Duration::from_millis(1000)).await;
                world.server.put(service(name, 9));
                world.server.delete("Service", "d", ["a", "b", "first"][round]);
                world.server.up().await.unwrap();
                let time = world.seen(name, 9).await;
                figure(&format!("restart with compacted history, {name} time"), time, Duration::from_secs(2));
                world.until("what was deleted is gone", || world.service(["a", "b", "first"][round]).is_none()).await;
                assert_eq!(world.service("old"), Some(7));
            }
        })
        .await;
}

#[tokio::test]
async fn an_outage() {
    outage(Duration::from_secs(2)).await;
}

#[tokio::test]
#[ignore = "takes half a minute"]
async fn an_outage_of_half_a_minute() {
    outage(Duration::from_secs(30)).await;
}

async fn outage(time: Duration) {
    let world = World::new(SERVICES, REAL).await;
    world
        .follow(async {
            for compacted in [false, true] {
                world.server.down().await;
                let begin = world.clock.now();
                while world.since(begin) < time {
                    assert_eq!((world.service("old"), world.index.synced()), (Some(7), true));
                    sleep(Duration::from_millis(20)).await;
                }
                if compacted {
                    world.server.compact();
                }
                let n = 100 + u16::from(compacted);
                world.server.put(service("new", n));
                world.server.put(service("a", n));
                world.server.up().await.unwrap();
                let seen = world.seen("new", n).await.max(world.seen("a", n).await);
                let history = if compacted { "gone" } else { "kept" };
                figure(&format!("{time:?} without API, history {history}"), seen, Duration::from_secs(2));
            }
        })
        .await;
}

#[tokio::test]
async fn a_stream_that_goes_silent() {
    silent(FAST, Duration::from_secs(4)).await;
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn a_stream_that_goes_silent_in_real_time() {
    silent(REAL, Duration::from_secs(60)).await;
}

async fn silent(pace: Pace, limit: Duration) {
    // Nothing else is to find it.
    let pace = Pace { count: Duration::from_secs(3600), resync: Duration::ZERO, ..pace };
    let world = World::new(SERVICES, pace).await;
    world
        .follow(async {
            sleep(Duration::from_millis(100)).await;
            let now = world.clock.now();
            world.server.fault(|f| f.freeze_before = Some(now));
            world.server.put(service("new", 9));
            world.server.put(service("a", 10));
            let time = world.seen("new", 9).await.max(world.seen("a", 10).await);
            figure("a stream that goes silent", time, limit);
            assert!(world.counted("watch_ends_total", "silent") > 0);
            assert_eq!(world.counted("relists_total", ""), 0, "it is resumed");
        })
        .await;
}

#[tokio::test]
async fn streams_that_stay_silent() {
    let pace = Pace { count: Duration::from_secs(3600), resync: Duration::ZERO, ..FAST };
    let world = World::new(SERVICES, pace).await;
    world
        .follow(async {
            world.server.fault(|f| f.freeze = true);
            sleep(Duration::from_millis(100)).await;
            world.server.put(service("a", 10));
            figure("streams that stay silent", world.seen("a", 10).await, Duration::from_secs(6));
        })
        .await;
}

#[tokio::test]
async fn a_server_restored_from_a_backup() {
    restored(FAST, Duration::from_secs(3)).await;
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn a_server_restored_from_a_backup_in_real_time() {
    restored(REAL, Duration::from_secs(60)).await;
}

async fn restored(pace: Pace, limit: Duration) {
    let world = World::new(SERVICES, pace).await;
    world
        .follow(async {
            let backup = world.server.backup();
            (0..20).for_each(|n| world.server.put(service("a", 100 + n)));
            world.server.put(service("lost", 9));
            world.seen("lost", 9).await;
            world.server.restore(&backup);
            let time = world.until("the backup's state", || world.service("lost").is_none()).await;
            figure("a server restored from a backup", time, limit);
            assert_eq!((world.service("a"), world.service("old")), (Some(1), Some(7)));
            assert!(world.counted("relists_total", "version") > 0);
        })
        .await;
}

#[tokio::test]
async fn lost_additions_and_deletions() {
    lost(FAST, Duration::from_secs(3)).await;
}

#[tokio::test]
#[ignore = "takes two minutes"]
async fn lost_additions_and_deletions_in_real_time() {
    lost(Pace { resync: Duration::ZERO, ..REAL }, Duration::from_secs(60)).await;
}

async fn lost(pace: Pace, limit: Duration) {
    let world = World::new(SERVICES, Pace { resync: Duration::ZERO, ..pace }).await;
    world
        .follow(async {
            world.server.fault(|f| f.drop = 1);
            world.server.put(service("new", 9));
            figure("a lost addition", world.seen("new", 9).await, limit);
            world.server.fault(|f| f.drop = 1);
            world.server.delete("Service", "d", "a");
            let time = world.until("the service is gone", || world.service("a").is_none()).await;
            figure("a lost deletion", time, limit);
            assert!(world.counted("relists_total", "count") >= 2);
        })
        .await;
}

#[tokio::test]
async fn a_lost_change() {
    let world = World::new(SERVICES, FAST).await;
    world
        .follow(async {
            world.server.fault(|f| f.drop = 1);
            world.server.put(service("a", 10));
            let time = world.seen("a", 10).await;
            figure("a lost change, compared each 1.5 s", time, Duration::from_secs(4));
            assert!(world.counted("relists_total", "difference") > 0);
        })
        .await;
}

#[tokio::test]
async fn nothing_is_doubted_without_reason() {
    let world = World::new(SERVICES, FAST).await;
    world
        .follow(async {
            for n in 0..600 {
                world.server.put(service(&format!("s{}", n % 40), n));
                if n % 5 == 4 {
                    world.server.delete("Service", "d", &format!("s{}", n % 40));
                }
                sleep(Duration::from_millis(6)).await;
            }
            assert_eq!(world.counted("relists_total", ""), 0);
            assert!(world.counted("checks_total", "count") > 0);
            assert!(world.counted("checks_total", "versions") > 0);
        })
        .await;
}

#[tokio::test]
async fn gone_on_every_watch() {
    let world = World::new(SERVICES, REAL).await;
    world
        .follow(async {
            world.server.fault(|f| f.gone = true);
            world.server.drop_connections();
            sleep(Duration::from_secs(4)).await;
            let after_the_first_few = world.requests("/services?");
            sleep(Duration::from_secs(5)).await;
            let asked = world.requests("/services?") - after_the_first_few;
            figure(
                "410 on every watch, requests a second",
                Duration::from_secs_f64(asked as f64 / 5.0),
                Duration::from_secs(1),
            );
            assert!(after_the_first_few < 25, "{after_the_first_few} at first");
            world.server.put(service("new", 9));
            figure("an addition meanwhile", world.seen("new", 9).await, Duration::from_secs(10));
            assert_eq!(world.service("old"), Some(7));
        })
        .await;
}

#[tokio::test]
async fn errors_are_not_hammered() {
    let world = World::new(SERVICES, REAL).await;
    world
        .follow(async {
            world.server.fault(|f| (f.status, f.retry_after) = (429, 1));
            world.server.drop_connections();
            sleep(Duration::from_secs(3)).await;
            let asked = world.requests("/services?");
            assert!(asked < 8, "{asked} requests in 3 s");
            world.server.fault(|f| f.status = 0);
            world.server.put(service("new", 9));
            figure("an addition after 429", world.seen("new", 9).await, Duration::from_secs(2));
        })
        .await;
}
