//! The listeners that are open, and the workers that serve their sockets; over reloads, too.

use crate::instance::Listener;
use crate::sockets::{self, Place, Sockets};
use crate::worker::{Command, ListenerId, Worker};
use api::Clock;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long waiting queries may take to be answered once their listener ends.
const GRACE: Duration = Duration::from_secs(5);

/// What is open, on all workers.
#[derive(Default)]
pub struct Listeners {
    workers: Vec<Worker>,
    open: BTreeMap<Place, Open>,
    next_id: ListenerId,
}

/// An open listener.
struct Open {
    id: ListenerId,
    address: SocketAddr,
    layout: Layout,
    zones: Vec<String>,
}

/// Which sockets a listener has. One that is to have others is opened anew.
#[derive(PartialEq, Eq)]
struct Layout {
    /// How many workers have them.
    count: usize,
    /// Of a listener for all addresses, those with sockets of their own.
    own: Vec<IpAddr>,
}

/// Sockets that were opened and serve nothing yet.
pub struct Opened {
    place: Place,
    address: SocketAddr,
    layout: Layout,
    sockets: Vec<Sockets>,
}

impl Listeners {
    /// Starts a worker for each CPU that this process may use.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start_workers(&mut self, clock: &Clock) -> Result<(), String> {
        let worker = |number| Worker::start(number, clock.clone()).map_err(|e| format!("cannot start a worker: {e}"));
        self.workers = (0..workers()).map(worker).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Opens the sockets of `wanted` that are not open yet. Those that join others at the same place come last: they get queries from
    /// then on.
    ///
    /// # Errors
    /// What could not be opened, in CoreDNS's words; nothing is left open of the rest.
    pub fn open(&self, wanted: &BTreeMap<Place, Listener>) -> Result<Vec<Opened>, String> {
        let addresses = sockets::own_addresses();
        let layout = |place: &Place, listener: &Listener| {
            // An address that a listener of its own has is that one's.
            let is_taken = |ip: &IpAddr| wanted.contains_key(&Place { host: ip.to_string(), port: place.port });
            let own = addresses.iter().filter(|ip| place.is_everywhere() && !is_taken(ip)).copied().collect();
            Layout { count: listener.sockets.unwrap_or_else(workers), own }
        };
        let layouts = wanted.iter().map(|(place, listener)| (place, layout(place, listener)));
        let is_open = |(place, layout): &(&Place, Layout)| self.open.get(*place).is_some_and(|o| o.layout == *layout);
        let mut missing: Vec<_> = layouts.filter(|one| !is_open(one)).collect();
        missing.sort_by_key(|(place, _)| self.open.contains_key(*place));
        let open = |(place, layout): (&Place, Layout)| {
            let (address, sockets) = sockets::open(place, layout.count, &layout.own)?;
            Ok(Opened { place: place.clone(), address, layout, sockets })
        };
        missing.into_iter().map(open).collect()
    }

    /// Serves `wanted` from now on, and nothing else, with sockets that [`Listeners::open`] has opened for it; returns what is to be
    /// closed.
    ///
    /// # Panics
    /// One of `wanted` is neither open nor among `opened`.
    pub fn switch(&mut self, wanted: &BTreeMap<Place, Listener>, opened: Vec<Opened>) -> Vec<ListenerId> {
        let mut closing = self.forget(|place| !wanted.contains_key(place));
        for opened in opened {
            closing.extend(self.forget(|place| *place == opened.place));
            self.hand_out(opened, wanted);
        }
        for (place, listener) in wanted {
            let open = &mut self.open.get_mut(place).expect("every listener was opened, now or before");
            open.zones = vec![&listener.zones[..]; listener.sockets.unwrap_or(1)].concat(); // a line per socket (CoreDNS)
            listener.addresses.iter().for_each(|a| drop(a.set(vec![open.address])));
            let id = open.id;
            self.workers.iter().for_each(|w| w.tell(Command::Route(id, (listener.router.clone(), listener.timeouts))));
        }
        closing
    }

    /// Gives new sockets to the workers, one after the other.
    fn hand_out(&mut self, opened: Opened, wanted: &BTreeMap<Place, Listener>) {
        let Opened { place, address, layout, sockets } = opened;
        let Some(listener) = wanted.get(&place) else { return };
        let id = self.next_id;
        self.next_id += 1;
        for (sockets, worker) in sockets.into_iter().zip(self.workers.iter().cycle()) {
            let routes = (listener.router.clone(), listener.timeouts);
            worker.tell(Command::Open { id, address, sockets, routes });
        }
        self.open.insert(place, Open { id, address, layout, zones: Vec::new() });
    }

    /// Takes all listeners off the list; they are to be closed.
    pub fn forget_all(&mut self) -> Vec<ListenerId> {
        self.forget(|_| true)
    }

    /// Takes listeners off the list; they are closed later.
    fn forget(&mut self, which: impl Fn(&Place) -> bool) -> Vec<ListenerId> {
        let gone = self.open.extract_if(.., |place, _| which(place));
        gone.map(|(_, open)| open.id).collect()
    }

    /// Closes listeners on all workers once what has reached them is answered.
    pub async fn close(&self, ids: Vec<ListenerId>) {
        let mut closed = Vec::new();
        for id in ids {
            for worker in &self.workers {
                let (done, wait) = oneshot::channel();
                worker.tell(Command::Close(id, done));
                closed.push(wait);
            }
        }
        let all = async {
            for wait in closed {
                let _ = wait.await; // a worker that has ended has closed everything
            }
        };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!("some queries were not answered within {GRACE:?} of the end of their listener");
        }
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// `ZONE:PORT` of everything that is served.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        self.open.values().flat_map(|open| open.zones.iter().map(String::as_str))
    }
}

/// How many workers there are: one for each CPU that this process may use.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
