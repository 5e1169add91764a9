//! Hostile input, over real sockets: what is no DNS, what is meant to cost much, what is meant to be shown elsewhere.
//!
//! Each daemon has the directive `debug`, with which a panic ends the process: the query at the end of each test would not be
//! answered.

mod http;
mod messages;
mod streams;
mod text;

use super::server::{Daemon, PATIENCE, ask, page, query};
use std::io::{Read, Write};
use std::net::TcpStream;
use testkit::Port;

/// A daemon that answers with `whoami`, its port, and that of its pages.
struct Server {
    _daemon: Daemon,
    dns: Port,
    http: Port,
}

impl Server {
    /// With these lines in its block.
    fn start(lines: &str) -> Server {
        let (dns, http) = (Port::free(), Port::free());
        let (n, h) = (dns.number(), http.number());
        let pages = format!("prometheus localhost:{h}\nhealth localhost:{h}\nready localhost:{h}");
        let daemon =
            Daemon::serving(&format!(".:{n} {{\nbind 127.0.0.1\ndebug\nerrors\nlog\n{pages}\n{lines}\nwhoami\n}}\n"));
        Server { _daemon: daemon, dns, http }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.dns.number())).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    /// A query over each transport gets its answer.
    fn lives(&self) {
        assert_eq!(ask("127.0.0.1", self.dns.number()), (7, 0));
        let mut stream = self.connect();
        assert_eq!(exchange(&mut stream, &query(9)).expect("an answer")[..2], [0, 9]);
    }
}

/// A message behind its length.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// The next message of a connection; `None` at its end.
fn next(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// The reply to a message.
fn exchange(stream: &mut TcpStream, message: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(&framed(message)).ok()?;
    next(stream)
}
