//! The questions of each kind of load. They are the same in every run.

use crate::objects;
use crate::works::ENDPOINTS;
use fastrand::Rng;

/// A question, and whether there is such a name.
pub struct Question {
    pub name: String,
    /// The type in words.
    pub rtype: &'static str,
    pub exists: bool,
}

/// A mix as clusters have it: mostly addresses, a tenth of it what search paths make of names.
pub fn cluster(services: usize) -> Vec<Question> {
    let mut random = Rng::with_seed(2);
    (0..20_000).map(|_| in_cluster(&mut random, services)).collect()
}

fn in_cluster(random: &mut Rng, services: usize) -> Question {
    let number = random.usize(..services);
    let (name, exists) = (objects::service_name(number, services), true);
    match random.u32(..100) {
        // A fifth of the services is headless: all addresses of its endpoints.
        0..60 => Question { name, rtype: "A", exists },
        60..75 => Question { name, rtype: "AAAA", exists },
        75..85 if objects::is_headless(number) => {
            Question { name: endpoint(random, number, &name), rtype: "A", exists }
        }
        75..90 => Question { name: format!("_http._tcp.{name}"), rtype: "SRV", exists },
        _ => {
            let name = format!("{name}.{}.svc.cluster.local", objects::namespace(number, services));
            Question { name, rtype: "A", exists: false }
        }
    }
}

fn endpoint(random: &mut Rng, number: usize, service: &str) -> String {
    format!("service-{number}-{}.{service}", random.usize(..ENDPOINTS))
}

/// Few enough for every cache.
pub fn hits() -> Vec<Question> {
    let mut random = Rng::with_seed(5);
    (0..20_000).map(|_| foreign(host(random.usize(..2_000)))).collect()
}

/// A name of an upstream.
pub fn host(number: usize) -> String {
    format!("host-{number}.example.org")
}

/// As many as can be asked in so many seconds, no two alike.
pub fn misses(prefix: &str, seconds: u64) -> Vec<Question> {
    (0..MISSES_A_SECOND * seconds).map(|number| foreign(format!("{prefix}-{number}.example.org"))).collect()
}

/// More than any server forwards on one core.
const MISSES_A_SECOND: u64 = 250_000;

fn foreign(name: String) -> Question {
    Question { name, rtype: "A", exists: true }
}

/// The last service with a cluster address, and the last endpoint of the last headless one.
pub fn last_of_cluster(services: usize) -> Vec<String> {
    let last = |headless| (0..services).rev().find(|&number| objects::is_headless(number) == headless).expect("one");
    let (plain, headless) = (last(false), last(true));
    let endpoint = format!("service-{headless}-{}", ENDPOINTS - 1);
    vec![objects::service_name(plain, services), format!("{endpoint}.{}", objects::service_name(headless, services))]
}
