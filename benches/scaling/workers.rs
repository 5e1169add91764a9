//! Workers that answer at the same time.

use api::Transport;
use poddns::inprocess::{InProcess, Served};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// How long workers answer.
const TIME: Duration = Duration::from_millis(100);

/// What workers answer.
#[derive(Clone, Copy, Default)]
pub struct Rate {
    /// In a second of the CPU time of each.
    pub by_cpu: f64,
    /// In a second.
    pub by_clock: f64,
}

/// Lets a worker of each of these servers answer the same questions, each on one of the cores; what they answer together.
pub fn run(servers: &[&Served], cores: &[CpuSet], messages: &[Vec<u8>]) -> Rate {
    let start = &Barrier::new(servers.len());
    thread::scope(|scope| {
        let pairs = servers.iter().zip(cores);
        let workers: Vec<_> =
            pairs.map(|(server, core)| scope.spawn(move || work(server, core, messages, start))).collect();
        let rates = workers.into_iter().map(|worker| worker.join().expect("a worker that does not panic"));
        rates.fold(Rate::default(), |sum, rate| Rate {
            by_cpu: sum.by_cpu + rate.by_cpu,
            by_clock: sum.by_clock + rate.by_clock,
        })
    })
}

/// What a worker does: the questions in an order of its own, again and again.
fn work(server: &Served, core: &CpuSet, messages: &[Vec<u8>], start: &Barrier) -> Rate {
    sched_setaffinity(None, core).expect("a core that this process may use");
    let mut worker = server.clone().worker().expect("a runtime");
    let mut messages = messages.to_vec();
    fastrand::shuffle(&mut messages);
    answer(&mut worker, &messages);
    start.wait();
    let (begin, cpu, mut answered) = (Instant::now(), cpu_time(), 0);
    while begin.elapsed() < TIME {
        answer(&mut worker, &messages);
        answered += messages.len();
    }
    let rate = |time: Duration| answered as f64 / time.as_secs_f64();
    Rate { by_cpu: rate(cpu_time() - cpu), by_clock: rate(begin.elapsed()) }
}

/// Answers all questions once.
pub fn answer(worker: &mut InProcess, messages: &[Vec<u8>]) {
    for message in messages {
        let reply = worker.answer(message, Transport::Udp);
        assert!(reply.is_some_and(|reply| reply[3] & 15 == 0), "an answer without an error");
    }
}

/// The CPU time of this thread so far.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("a time after the start")
}
