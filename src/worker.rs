//! A worker: one thread, one runtime, its own sockets. Workers share nothing on the way of an answer.

use crate::beside;
use crate::clients::Places;
use crate::output;
use crate::route::Router;
use crate::sockets::Sockets;
use crate::tcp::{self, TcpServer};
use crate::udp::UdpServer;
use crate::waiting::Waiting;
use api::Clock;
use api::server::Server;
use api::setup::Timeouts;
use api::task::StopSource;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot};

/// Octets that are read from a connection at once.
const READ: usize = 16 * 1024;

/// What the sockets of one worker share.
pub struct Shared {
    /// Queries that wait.
    pub waiting: Rc<Waiting>,
    /// The time.
    pub clock: Clock,
    /// Places for connections.
    pub connections: Rc<Places>,
    /// Octets that connections hold: parts of messages, and replies that are not written.
    pub buffered: Cell<usize>,
    /// Memory into which connections read, one after the other.
    pub read: RefCell<Box<[u8]>>,
}

impl Shared {
    /// Nothing is under way.
    pub fn new(clock: Clock) -> Rc<Shared> {
        Rc::new(Shared {
            waiting: Rc::default(),
            clock,
            connections: Places::new(tcp::MAX_CONNECTIONS),
            buffered: Cell::new(0),
            read: RefCell::new([0; READ].into()),
        })
    }
}

/// The routes of a listener, in both the forms in which they are needed.
pub struct Routes {
    /// For the listener.
    pub router: Arc<Router>,
    /// For the queries.
    pub server: Arc<dyn Server>,
    /// Time-outs of the listener's connections.
    pub timeouts: Timeouts,
}

/// The routes that a socket uses now; exchanged when the configuration is reloaded. A worker has its own.
#[derive(Clone)]
pub struct Current(Rc<RefCell<Rc<Routes>>>);

impl Current {
    /// These routes, for now.
    pub fn new(routes: Routes) -> Current {
        Current(Rc::new(RefCell::new(Rc::new(routes))))
    }

    /// The routes as they are now.
    pub fn get(&self) -> Rc<Routes> {
        self.0.borrow().clone()
    }
}

impl Routes {
    /// The routes of `router`.
    pub fn new(router: Arc<Router>, timeouts: Timeouts) -> Routes {
        Routes { server: router.clone(), router, timeouts }
    }
}

/// A listener, the same number on every worker and over reloads.
pub type ListenerId = usize;

/// What a worker is told.
pub enum Command {
    /// Serve these sockets.
    Open {
        /// The listener they belong to.
        id: ListenerId,
        /// The address they are bound to.
        address: SocketAddr,
        /// The sockets.
        sockets: Sockets,
        /// Its blocks and time-outs.
        routes: (Arc<Router>, Timeouts),
    },
    /// Use other routes from now on.
    Route(ListenerId, (Arc<Router>, Timeouts)),
    /// Answer what has reached the sockets of this listener, then close them.
    Close(ListenerId, oneshot::Sender<()>),
}

/// The handle of a worker; its thread ends with it.
pub struct Worker {
    commands: mpsc::UnboundedSender<Command>,
}

impl Worker {
    /// Starts worker `number`.
    ///
    /// # Errors
    /// No thread or no runtime can be had.
    pub fn start(number: usize, clock: Clock) -> io::Result<Worker> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (tell, started) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(e) => return drop(tell.send(Err(e))),
            };
            beside::allow();
            output::collect();
            let _ = tell.send(Ok(())); // whoever starts it waits for this
            runtime.block_on(obey(receiver, clock));
        })?;
        started.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Worker { commands })
    }

    /// Tells the worker something; a worker that has ended obeys nothing more.
    pub fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// The runtime of a worker, for the thread that makes it only: its tasks may hold what is of one thread.
fn runtime() -> io::Result<LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

/// A listener's sockets on this worker.
struct Open {
    current: Current,
    stop: StopSource,
    serving: Vec<tokio::task::JoinHandle<()>>,
}

/// Does what it is told until nobody can tell it anything more.
async fn obey(mut commands: mpsc::UnboundedReceiver<Command>, clock: Clock) {
    let shared = Shared::new(clock);
    let mut open: HashMap<ListenerId, Vec<Open>> = HashMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Open { id, address, sockets, routes: (router, timeouts) } => {
                let current = Current::new(Routes::new(router, timeouts));
                match serve(sockets, &current, &shared) {
                    Ok((stop, serving)) => open.entry(id).or_default().push(Open { current, stop, serving }),
                    Err(e) => tracing::error!("cannot serve {address}: {e}"),
                }
            }
            Command::Route(id, (router, timeouts)) => {
                for o in open.get(&id).into_iter().flatten() {
                    *o.current.0.borrow_mut() = Rc::new(Routes::new(router.clone(), timeouts));
                }
            }
            Command::Close(id, done) => {
                let closing = open.remove(&id).unwrap_or_default();
                tokio::task::spawn_local(close(closing, done));
            }
        }
    }
}

/// Begins to serve the sockets of an address.
fn serve(
    sockets: Sockets,
    current: &Current,
    shared: &Rc<Shared>,
) -> io::Result<(StopSource, Vec<tokio::task::JoinHandle<()>>)> {
    let stop = StopSource::default();
    let (tcp, listener) = (TcpServer::new(current.clone(), shared.clone()), TcpListener::from_std(sockets.tcp)?);
    let mut serving = vec![tokio::task::spawn_local(tcp.serve(listener, stop.listen()))];
    for udp in sockets.udp {
        let udp = UdpServer::serve(udp, current.clone(), shared.clone(), stop.listen())?;
        serving.push(tokio::task::spawn_local(udp));
    }
    Ok((stop, serving))
}

async fn close(closing: Vec<Open>, done: oneshot::Sender<()>) {
    closing.iter().for_each(|o| o.stop.stop());
    for o in closing {
        for serving in o.serving {
            let _ = serving.await;
        }
    }
    let _ = done.send(());
}
