//! A server without sockets, for fuzzers, benchmarks and tests: a message in, a message out, on the thread that asks.

use crate::admit::{Admission, admit};
use crate::beside;
use crate::cli::LogFormat;
use crate::instance::Instance;
use crate::output;
use crate::plugins::Table;
use crate::route::{Begun, Router};
use crate::seal::seal;
use crate::source;
use crate::tasks;
use crate::tcp::{self, TcpServer};
use crate::worker::{Current, Routes, Shared};
use api::corefile::{Corefile, Source};
use api::server::Server;
use api::services::{Attempt, Reload, Seen};
use api::setup::{Timeouts, World};
use api::task::{Carried, Carry, StopSource};
use api::{Clock, Query, Transport, traffic};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// A worker of the first listener of a configuration, to be asked without a network.
pub struct InProcess {
    served: Served,
    q: Box<Query>,
    runtime: Runtime,
}

/// What the workers of a server share; may be sent to another thread, for a worker there.
#[derive(Clone)]
pub struct Served {
    router: Arc<Router>,
    server: Arc<dyn Server>,
    clock: Clock,
    _background: Arc<Background>,
}

/// What answers depend on; ends with the server.
struct Background {
    _carried: Vec<Arc<Carried>>,
    _stop: StopSource,
    _failures: mpsc::UnboundedReceiver<String>,
}

/// From now on the lines of this thread go to standard output as those of a worker do.
///
/// # Errors
/// No thread can be had that writes them.
pub fn log_as_a_worker() -> io::Result<()> {
    output::init(LogFormat::Text)?;
    output::collect();
    Ok(())
}

impl InProcess {
    /// Sets up `corefile` with the directives of `table`, starts its background work and waits for what it waits for. That work
    /// goes on only while a query of this worker waits.
    ///
    /// # Errors
    /// The mistakes in the configuration, a line each.
    pub fn start(table: &Table, corefile: &str) -> Result<InProcess, String> {
        let known = |name: &str| table.0.iter().any(|row| row.name() == name);
        let parsed = Corefile::parse(&Source::new("Corefile", corefile), "53", &known, &|_| None);
        let parsed = parsed.map_err(|mistakes| source::lines(&mistakes))?;
        let clock = Clock::system();
        let world = World::new(clock.clone(), Carry::default(), Arc::new(Never));
        let instance = Instance::build(table, &parsed, world).map_err(|mistakes| source::lines(&mistakes))?;
        let listener = instance.listeners.into_values().next().ok_or("no server block listens")?;
        let runtime = runtime()?;
        let (stop, (failures, receiver)) = (StopSource::default(), mpsc::unbounded_channel());
        runtime.block_on(async {
            let mut work = tasks::Running::default();
            work.start_carried(&instance.carried, &failures);
            for mut tasks in instance.tasks {
                work.start(tasks.take(), &stop, &failures);
            }
            work.detach();
            for gate in instance.gates {
                // What has not come yet is answered as such.
                let _ = gate.wait.await;
            }
        });
        let background = Background { _carried: instance.carried, _stop: stop, _failures: receiver };
        let (server, router) = (listener.router.clone(), listener.router);
        let served = Served { router, server, clock, _background: Arc::new(background) };
        Ok(InProcess { served, q: Box::default(), runtime })
    }

    /// What this worker shares with others.
    pub fn served(&self) -> Served {
        self.served.clone()
    }

    /// The reply to `message` from a client at `127.0.0.1`; `None` where it gets none.
    pub fn answer(&mut self, message: &[u8], transport: Transport) -> Option<&[u8]> {
        let InProcess { served, q, runtime } = self;
        match admit(message, q) {
            Admission::Ignored => return None,
            Admission::Refused => return Some(q.reply.bytes()),
            Admission::Query => (),
        }
        (q.client, q.local) = ADDRESSES;
        (q.transport, q.received, q.in_batch) = (transport, served.clock.now(), true);
        q.set_server(&served.server);
        if let Begun::Wait(at) = served.router.begin(q) {
            runtime.block_on(served.router.finish(q, at));
        }
        traffic::batch_complete(&served.clock);
        seal(q)
    }

    /// What comes back over a connection of which each side takes so many octets at once, after `input` and the end of the client's
    /// side.
    pub fn converse(&mut self, input: &[u8], octets: usize) -> Vec<u8> {
        let routes = Routes::new(self.served.router.clone(), Timeouts::default());
        let clock = self.served.clock.clone();
        LocalSet::new().block_on(&self.runtime, async {
            let server = TcpServer::new(Current::new(routes), Shared::new(clock));
            let (client, stream) = tokio::io::duplex(octets.max(1));
            let (mut from, mut to) = tokio::io::split(client);
            let stop = StopSource::default();
            let mut replies = Vec::new();
            let send = async {
                // Where the server ends first, what it said before counts.
                let _ = to.write_all(input).await;
                let _ = to.shutdown().await;
            };
            let read = async { drop(from.read_to_end(&mut replies).await) };
            tokio::join!(send, read, tcp::answer(stream, ADDRESSES, server, stop.listen()));
            replies
        })
    }
}

impl Served {
    /// One more worker of the server, on the thread that calls.
    ///
    /// # Errors
    /// No runtime can be had.
    pub fn worker(self) -> Result<InProcess, String> {
        Ok(InProcess { served: self, q: Box::default(), runtime: runtime()? })
    }
}

/// A runtime for a worker on this thread.
fn runtime() -> Result<Runtime, String> {
    beside::allow();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| format!("cannot start a runtime: {e}"))
}

/// The client's address and the server's.
const ADDRESSES: (SocketAddr, SocketAddr) = {
    let (client, server) = (SocketAddrV4::new(Ipv4Addr::LOCALHOST, 40_212), SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53));
    (SocketAddr::V4(client), SocketAddr::V4(server))
};

/// There is no file to read again.
pub(crate) struct Never;

impl Reload for Never {
    fn running(&self) -> String {
        String::new()
    }

    fn look(&self) -> Pin<Box<dyn Future<Output = Seen> + Send + '_>> {
        Box::pin(std::future::ready(Seen::Running))
    }

    fn generation(&self) -> u64 {
        0
    }

    fn reload(&self, _: Attempt) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(std::future::ready(Err("the configuration was not read from a file".into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins;

    #[test]
    fn a_query_without_an_answer_is_refused() {
        let mut server = InProcess::start(&plugins::standard(), ".:53 {\n}\n").unwrap();
        let message = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
        let reply = server.answer(message, Transport::Udp).unwrap();
        assert_eq!(reply, b"\x12\x34\x81\x05\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01");
        assert_eq!(server.answer(&message[..11], Transport::Udp), None);
    }

    #[test]
    fn workers_of_a_server_share_what_is_kept() {
        let corefile = ".:53 {\ncache\ntemplate IN TXT {\nanswer \"{{ .Name }} 60 IN TXT {{ .Message.Id }}\"\n}\n}\n";
        let question = |id: u8| [&[0, id], &b"\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x10\0\x01"[..]].concat();
        let last = |reply: Option<&[u8]>| *reply.unwrap().last().unwrap();
        let mut first = InProcess::start(&plugins::standard(), corefile).unwrap();
        assert_eq!(last(first.answer(&question(7), Transport::Udp)), b'7');
        let served = first.served();
        let second = move || last(served.worker().unwrap().answer(&question(8), Transport::Udp));
        assert_eq!(std::thread::spawn(second).join().unwrap(), b'7');
    }

    #[test]
    fn values_of_a_block_that_turned_a_query_away_stay_known() {
        let first = |metadata: &str| format!("a:53 {{\n{metadata}\nview first {{\nexpr false\n}}\nwhoami\n}}\n");
        let second = "a:53 {\nview second {\nexpr metadata('view/name') == 'first'\n}\nwhoami\n}\n";
        let message = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
        for (metadata, rcode) in [("metadata", 0), ("", 5)] {
            let corefile = first(metadata) + second;
            let mut server = InProcess::start(&plugins::standard(), &corefile).unwrap();
            assert_eq!(server.answer(message, Transport::Udp).unwrap()[3] & 15, rcode, "{corefile}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let refused = InProcess::start(&plugins::standard(), ".:53 {\n nosuch\n}\n").err().unwrap();
        assert_eq!(refused, "Corefile:2 - Error during parsing: Unknown directive 'nosuch'");
    }
}
