//! An index that follows a simulated API server, and what both hold.

use crate::connect::{Api, Limits, Place};
use crate::index::{Backing, Index, Kind, Options, Service};
use crate::watch::{Pace, SharedWriter, Watch, follow};
use api::Clock;
use api::task::StopSource;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The API server and what follows it.
pub struct World {
    pub server: testkit::Api,
    pub index: Arc<Index>,
    pub clock: Clock,
    writer: SharedWriter,
    pace: Pace,
    place: Place,
}

impl World {
    /// A server that holds these services, and nothing that follows it yet.
    pub async fn new(services: &[(&str, u16)], pace: Pace) -> World {
        let server = testkit::Api::start(services.iter().map(|(name, n)| service(name, *n))).await.unwrap();
        let place = Place::Endpoint { url: server.url(), tls: None };
        World::at(server, place, pace)
    }

    /// A server that is reached through `place`.
    pub fn at(server: testkit::Api, place: Place, pace: Pace) -> World {
        let (index, writer) = Index::new(&KINDS, Options::default());
        World { server, index, clock: Clock::system(), writer: Arc::new(Mutex::new(writer)), pace, place }
    }

    /// Follows the server while `test` runs, which begins when everything has been listed.
    pub async fn follow<T>(&self, test: impl Future<Output = T>) -> T {
        let config = self.place.config().unwrap();
        let limits = Limits::new(0.0, 0, 0, self.clock.clone());
        let connection = Arc::new(Api::new(config, self.place.clone(), limits, self.clock.clone()).unwrap());
        let stop = StopSource::default();
        let one = |kind| {
            let watch = Watch { kind, labels: String::new(), pace: self.pace };
            follow(watch, connection.clone(), self.writer.clone(), self.clock.clone(), stop.listen())
        };
        let test = async {
            self.until("everything is listed", || self.index.synced()).await;
            test.await
        };
        tokio::select! {
            _ = async { tokio::join!(one(KINDS[0]), one(KINDS[1])) } => unreachable!("nothing stops it"),
            done = test => done,
        }
    }

    /// Waits until `condition` holds, and returns how long that took.
    pub async fn until(&self, what: &str, condition: impl Fn() -> bool) -> Duration {
        let begin = self.clock.now();
        while !condition() {
            assert!(self.since(begin) < PATIENCE, "not so after {PATIENCE:?}: {what}");
            sleep(Duration::from_millis(2)).await;
        }
        self.since(begin)
    }

    pub fn since(&self, begin: Instant) -> Duration {
        self.clock.now() - begin
    }

    /// The address of a service that is known.
    pub fn service(&self, name: &str) -> Option<u16> {
        let service = self.index.service(&owner(name))?;
        match &service.definition.as_ref()?.backing {
            Backing::Addresses(addresses) => addresses.v4().first().map(|a| u16::from_be_bytes([a[2], a[3]])),
            _ => None,
        }
    }

    /// The address of the endpoint of a service that is known.
    pub fn endpoint(&self, name: &str) -> Option<u16> {
        let service = self.index.service(&owner(name))?;
        let service: &Service = &service;
        let slice = self.index.slices_of(service).next()?;
        slice.addresses.v4().first().map(|a| u16::from_be_bytes([a[2], a[3]]))
    }

    /// Whether a service becomes known in time; how long it took.
    pub async fn seen(&self, name: &str, n: u16) -> Duration {
        self.until(name, || self.service(name) == Some(n)).await
    }

    /// The sum of the series of a counter that concern this server and have `label` as a label's value.
    pub fn counted(&self, counter: &str, label: &str) -> u64 {
        let config = self.place.config().unwrap();
        let host = format!("host=\"{}\"", config.cluster_url.authority().unwrap());
        let name = format!("poddns_kubernetes_{counter}{{");
        let label = if label.is_empty() { String::new() } else { format!("\"{label}\"") };
        let page = api::metrics::page();
        let lines = page.lines().filter(|l| l.starts_with(&name) && l.contains(&host) && l.contains(&label));
        lines.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// How many requests have come so far that ask for this.
    pub fn requests(&self, word: &str) -> usize {
        self.server.requests().iter().filter(|r| r.target.contains(word)).count()
    }
}

/// A service of namespace `d` whose address ends in `n`.
pub fn service(name: &str, n: u16) -> Value {
    let address = format!("10.96.{}.{}", n >> 8, n & 255);
    json!({"kind": "Service", "metadata": {"name": name, "namespace": "d"}, "spec": {"clusterIP": address}})
}

/// A slice of that service with one endpoint.
pub fn slice(name: &str, n: u16) -> Value {
    let address = format!("10.244.{}.{}", n >> 8, n & 255);
    json!({"kind": "EndpointSlice", "metadata": {"name": name, "namespace": "d",
           "labels": {"kubernetes.io/service-name": name}}, "endpoints": [{"addresses": [address]}]})
}

fn owner(name: &str) -> Vec<u8> {
    [&[name.len() as u8], name.as_bytes(), b"\x01d"].concat()
}

pub const KINDS: [Kind; 2] = [Kind::Service, Kind::EndpointSlice];
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(70);
