//! What clients get of an upstream's reply: forward's check of it, the cache, sealing; and the cache again.

use api::name::NameRef;
use api::wire::{self, HEADER, flag};
use api::{Error, Plugin, PluginDef, Query, RecordType, Reply, Result, Setup, Step, Transport};
use poddns::inprocess::InProcess;
use poddns::plugins::standard;
use poddns_forward::fuzzing::{Taken, take};
use std::cell::RefCell;

const COREFILE: &str = r"
.:53 {
    errors {
        ede
        consolidate 1h .* debug
    }
    nsid fuzz
    loadbalance
    cache 30
    upstream
}
";

/// ID of the query that the upstream is sent.
const ID: u16 = 0x1234;

/// The upstream's side: what it says, and what became of that each time it was asked.
#[derive(Default)]
struct Upstream {
    message: Vec<u8>,
    taken: Vec<Taken>,
}

thread_local! {
    static UPSTREAM: RefCell<Upstream> = RefCell::default();
}

/// In the place of `forward`.
static PLUGIN: PluginDef = PluginDef {
    properties: &[],
    name: "upstream",
    metrics: &[],
    setup: |setup: &mut Setup<'_>| {
        setup.cursor().next_once()?;
        setup.add(Says);
        Ok(())
    },
};

struct Says;

impl Plugin for Says {
    fn query(&self, q: &mut Query) -> Result<Step> {
        UPSTREAM.with_borrow_mut(|upstream| {
            let taken = take(q, ID, &upstream.message);
            upstream.taken.push(taken);
            match taken {
                Taken::Reply | Taken::Instead => Ok(Step::Done),
                Taken::Ignored => Err(Error::msg("i/o timeout")),
            }
        })
    }
}

/// A server whose upstream says what it is told to.
pub struct Server {
    server: InProcess,
    names: u64,
}

impl Server {
    /// Starts it.
    ///
    /// # Panics
    /// Its Corefile is refused.
    pub fn start() -> Server {
        let table = standard().before("forward", &PLUGIN);
        Server { server: InProcess::start(&table, COREFILE).expect("a server"), names: 0 }
    }

    /// Lets the upstream answer with `message` as it is, and as it would be in reply to questions that nothing is known of.
    ///
    /// # Panics
    /// A client gets what it should not.
    pub fn ask(&mut self, message: &[u8]) {
        for as_it_is in [true, false] {
            self.names += 1;
            let (question, told) = self.question(message, as_it_is);
            self.check(&question, told);
        }
    }

    /// A question that was not asked before, and what the upstream says to it: the message as it is, or as a reply to the question.
    fn question(&self, message: &[u8], as_it_is: bool) -> (Vec<u8>, Vec<u8>) {
        let asked = message.get(HEADER..).and_then(NameRef::read).map(|name| name.as_bytes().to_vec());
        let letters = |name: &[u8]| name.iter().filter(|octet| octet.is_ascii_alphabetic()).count();
        match asked.filter(|name| !as_it_is && letters(name) >= 6) {
            Some(mut name) => {
                // Of the same length, so that what points into the question still does; no other question has it, whatever its letters.
                let (end, mut rest) = (HEADER + name.len(), self.names);
                for octet in name.iter_mut().filter(|octet| octet.is_ascii_alphabetic()) {
                    *octet = b'a' + (rest % 26) as u8;
                    rest /= 26;
                }
                let mut told = message.to_vec();
                told[HEADER..end].copy_from_slice(&name);
                let types = message.get(end..end + 4).unwrap_or(b"\0\x01\0\x01");
                ([&name, types].concat(), told)
            }
            None => {
                let name = format!("\x10{:016x}\x07example\0", self.names);
                ([name.as_bytes(), b"\0\x01\0\x01"].concat(), message.to_vec())
            }
        }
    }

    fn check(&mut self, question: &[u8], told: Vec<u8>) {
        UPSTREAM.replace(Upstream { message: told, taken: Vec::new() });
        for (client, (opt, transport)) in CLIENTS.iter().enumerate() {
            let query = query(question, opt, client as u8);
            let Some(reply) = self.server.answer(&query, *transport) else { continue };
            let limit = match transport {
                _ if !transport.is_datagram() => wire::MAX_MESSAGE,
                _ if opt.is_empty() => 512,
                _ => usize::from(u16::from_be_bytes([opt[3], opt[4]])).max(512),
            };
            assert!(reply.len() <= limit, "{} octets", reply.len());
            well_formed(reply, &query, question);
            let asked = UPSTREAM.with_borrow(|upstream| upstream.taken.clone());
            if asked.iter().all(|taken| *taken != Taken::Reply) {
                assert_eq!(reply[6..10], [0; 4], "nothing of a wrong message is passed on");
                assert!(asked.len() > client || reply[3] & 15 == 5, "nothing of a wrong message is kept");
            }
        }
    }
}

/// The OPT records and transports of clients that ask one after the other.
const CLIENTS: [(&[u8], Transport); 6] = [
    (b"", Transport::Udp),
    (b"", Transport::Udp),
    (b"\0\0\x29\x04\xd0\0\0\0\0\0\0", Transport::Udp),
    (b"\0\0\x29\x02\x00\0\0\x80\0\0\0", Transport::Udp),
    (b"\0\0\x29\xff\xff\0\0\x80\0\0\x04\0\x03\0\0", Transport::Udp),
    (b"\0\0\x29\x10\0\0\0\0\0\0\0", Transport::Tcp),
];

fn query(question: &[u8], opt: &[u8], number: u8) -> Vec<u8> {
    let header = [0x77, number, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!opt.is_empty())];
    [&header[..], question, opt].concat()
}

/// Checks that `reply` is a message of its own octets, no more and no less, that answers `query`.
fn well_formed(reply: &[u8], query: &[u8], question: &[u8]) {
    let word = |at| wire::u16_at(reply, at).expect("a whole header");
    assert_eq!((&reply[..2], word(2) & flag::QR, word(4)), (&query[..2], flag::QR, 1), "a reply to the client");
    let end = HEADER + question.len();
    assert!(reply[HEADER..end].eq_ignore_ascii_case(question), "the client's question");
    let (mut at, mut opts) = (end, 0);
    for field in [6, 8, 10] {
        for _ in 0..word(field) {
            let record = wire::read_record(reply, at).expect("a whole record");
            let mut data = Vec::new();
            wire::read_rdata(reply, record.rtype, record.rdata, record.end, &mut data).expect("names that can be read");
            opts += usize::from(record.rtype == RecordType::OPT);
            assert!(record.rtype != RecordType::OPT || field == 10, "an OPT where it belongs");
            at = record.end;
        }
    }
    assert_eq!(at, reply.len(), "nothing behind the last record");
    assert!(opts <= 1, "{opts} OPT records");
    Reply::default().adopt(reply).expect("a well-formed message");
}
