//! The test kit: questions from text, replies as text, without sockets.

use crate::chain::{Chain, Link, Panics, Run};
use crate::clock::Clock;
use crate::codes::{Class, Rcode, RecordType};
use crate::corefile::{Corefile, Source};
use crate::name::{Name, NameRef};
use crate::presentation::{hex, octets};
use crate::query::{Query, Transport};
use crate::reply::{Outcome, Record, Section};
use crate::server::{Answering, Server, Site};
use crate::services::{Attempt, Metadata, Reload, Seen};
use crate::setup::{Block, Setup, World};
use crate::task::{Carry, set_host};
use crate::wire::flag;
use crate::{Plugin, PluginDef, Result, Step};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

/// A query from `127.0.0.1:40212` as `text` says: `NAME TYPE [CLASS]`, then `+tcp`, `+do`, `+nord`, `+bufsize=N`,
/// `+opt=CODE:HEX` in any order.
///
/// # Panics
/// The text is something else.
pub fn query(text: &str) -> Query {
    let (flags, words): (Vec<&str>, Vec<&str>) = text.split_whitespace().partition(|w| w.starts_with('+'));
    let name = Name::from_text(words[0]).expect("a name first");
    let rtype = TYPES.iter().find(|t| t.1 == words[1]).expect("a known type second").0;
    let class = match words.get(2) {
        None | Some(&"IN") => Class::IN,
        Some(&"CH") => Class::CH,
        Some(class) => panic!("class {class}"),
    };
    let recursion = if flags.contains(&"+nord") { 0 } else { flag::RD };
    let options: Vec<u8> = flags.iter().filter_map(|f| f.strip_prefix("+opt=")).flat_map(option).collect();
    let size = flags.iter().find_map(|f| f.strip_prefix("+bufsize=")).map(|n| n.parse().expect("a number"));
    let dnssec_ok = flags.contains(&"+do");
    let edns = dnssec_ok || size.is_some() || !options.is_empty();

    let mut packet = vec![0x12, 0x34];
    let mut push = |n: u16| packet.extend_from_slice(&n.to_be_bytes());
    [recursion, 1, 0, 0, u16::from(edns)].into_iter().for_each(&mut push);
    packet.extend_from_slice(name.as_bytes());
    let mut push = |n: u16| packet.extend_from_slice(&n.to_be_bytes());
    [rtype.0, class.0].into_iter().for_each(&mut push);
    if edns {
        packet.push(0);
        let mut push = |n: u16| packet.extend_from_slice(&n.to_be_bytes());
        let do_bit = if dnssec_ok { 0x8000 } else { 0 };
        [RecordType::OPT.0, size.unwrap_or(1232), 0, do_bit, options.len() as u16].into_iter().for_each(&mut push);
        packet.extend_from_slice(&options);
    }
    let mut q = Query::default();
    q.parse(&packet).expect("well formed");
    q.client = SocketAddr::from((Ipv4Addr::LOCALHOST, 40212));
    q.transport = if flags.contains(&"+tcp") { Transport::Tcp } else { Transport::Udp };
    q
}

/// `CODE:HEX` as an EDNS option on the wire.
fn option(text: &str) -> Vec<u8> {
    let (code, hex) = text.split_once(':').expect("CODE:HEX");
    let data = octets(hex).expect("hex");
    let code: u16 = code.parse().expect("a number");
    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), &data].concat()
}

/// A query for which `metadata` tells the values.
pub fn described(mut q: Query, metadata: Arc<dyn Metadata>) -> Query {
    let server: Arc<dyn Server> = Arc::new(Described(metadata));
    q.set_server(&server);
    q.set_described_at(0);
    q
}

/// A server with one block that knows values.
struct Described(Arc<dyn Metadata>);

impl Server for Described {
    fn sites(&self) -> &[Site] {
        &[]
    }

    fn metadata(&self, _site: usize) -> Option<&dyn Metadata> {
        Some(&*self.0)
    }

    fn answer(&self, q: Box<Query>) -> Answering {
        Box::pin(std::future::ready(q))
    }
}

/// A chain of one plugin with [`Bottom`] below it.
pub fn chain(plugin: impl Plugin) -> Chain {
    let links =
        vec![Link { name: "test", plugin: Box::new(plugin) }, Link { name: "bottom", plugin: Box::new(Bottom) }];
    Chain::new(links, Panics::End)
}

/// Says that a query got past the plugin above: answers REFUSED.
pub struct Bottom;

impl Plugin for Bottom {
    fn query(&self, q: &mut Query) -> Result<Step> {
        q.reply.bare(Rcode::REFUSED);
        Ok(Step::Done)
    }
}

/// The plugins that `lines`, all those of the directive, make in a block for the root zone; or why they are refused, the place
/// of which is in file `f`, where the lines begin with the second.
///
/// # Errors
/// The words of the refusal.
pub fn links(def: &PluginDef, lines: &str, world: &World) -> Result<Vec<Link>, String> {
    let source = Source::new("f", format!(". {{\n{lines}\n}}\n"));
    let corefile = Corefile::parse(&source, "53", &|_| true, &|_| None).map_err(|mistakes| mistakes[0].to_string())?;
    let mut block = Block::new("dns://.:53".into(), vec![Name::root()]);
    let tokens = corefile.blocks[0].directive(def.name).ok_or("the directive is not used")?;
    (def.setup)(&mut Setup::new(def.name, tokens, &mut block, world)).map_err(|mistake| mistake.to_string())?;
    Ok(block.links)
}

/// A generation with this clock and what is carried over; there is no reload. Plugins may have work beside the queries of this
/// thread then, on tokio's runtime.
pub fn world(clock: Clock, carry: Carry) -> World {
    set_host(Box::new(|_, work| {
        drop(tokio::runtime::Handle::current().spawn(work));
        true
    }));
    World::new(clock, carry, Arc::new(NoReload))
}

struct NoReload;

impl Reload for NoReload {
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
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What `chain` answers to `question` (see [`query`]), as [`text`] shows it.
///
/// # Panics
/// The chain wants to wait.
pub fn ask(chain: &Chain, question: &str) -> String {
    let mut q = query(question);
    assert_eq!(chain.run(&mut q), Run::Done, "{question}");
    text(&q)
}

/// A reply as lines: code and flags, then the records, each behind its section; an error behind the code; the OPT and why it is
/// so last.
pub fn text(q: &Query) -> String {
    let reply = &q.reply;
    let mut out = match reply.outcome() {
        Outcome::Nothing => String::from("nothing"),
        Outcome::Bare(rcode) => format!("{} (no message)", code(rcode)),
        Outcome::Message => code(reply.rcode().unwrap_or(Rcode::NOERROR)),
    };
    for (bit, name) in [(flag::AA, " aa"), (flag::TC, " tc"), (flag::RD, " rd"), (flag::RA, " ra"), (flag::AD, " ad")] {
        if reply.flags() & bit != 0 {
            out.push_str(name);
        }
    }
    if let Some(e) = reply.error() {
        let _ = write!(out, ": {e}");
    }
    for r in reply.records() {
        let section = match r.section() {
            Section::Answer => "answer",
            Section::Authority => "authority",
            Section::Additional => "additional",
        };
        let _ = write!(out, "\n{section} {}", record(&r));
    }
    if let Some(opt) = reply.opt() {
        let dnssec_ok = if opt.dnssec_ok { " do" } else { "" };
        let _ = write!(out, "\nopt {}{dnssec_ok} {}", opt.size, hex(&opt.options));
    }
    if let Some((info, words)) = reply.explanation() {
        let _ = write!(out, "\ninfo {} {words}", info.0);
    }
    out
}

/// A record in presentation form (RFC 1035 5.1), unknown data as RFC 3597 5 has it.
pub fn record(r: &Record<'_>) -> String {
    let (mut owner, mut data) = (Vec::new(), Vec::new());
    r.read_owner(&mut owner);
    r.read_data(&mut data);
    let owner = NameRef::read(&owner).expect("a name");
    let class = match r.class() {
        Class::IN => "IN".to_owned(),
        Class::CH => "CH".to_owned(),
        Class(n) => format!("CLASS{n}"),
    };
    let rtype =
        TYPES.iter().find(|t| t.0 == r.rtype()).map_or_else(|| format!("TYPE{}", r.rtype().0), |t| t.1.to_owned());
    format!("{owner} {} {class} {rtype} {}", r.ttl(), rdata(r.rtype(), &data))
}

fn rdata(rtype: RecordType, mut data: &[u8]) -> String {
    let mut words = Vec::new();
    let shape = TYPES.iter().find(|t| t.0 == rtype).map_or("", |t| t.2);
    for field in shape.chars() {
        let (word, n) = match field {
            'n' => {
                let name = NameRef::read(data).expect("a name");
                (name.to_string(), name.as_bytes().len())
            }
            's' => (u16::from_be_bytes([data[0], data[1]]).to_string(), 2),
            'l' => (u32::from_be_bytes([data[0], data[1], data[2], data[3]]).to_string(), 4),
            '4' => (Ipv4Addr::from(<[u8; 4]>::try_from(data).expect("four octets")).to_string(), 4),
            '6' => (Ipv6Addr::from(<[u8; 16]>::try_from(data).expect("sixteen octets")).to_string(), 16),
            _ => {
                let n = usize::from(data[0]) + 1;
                (format!("{:?}", String::from_utf8_lossy(&data[1..n])), n)
            }
        };
        words.push(word);
        data = &data[n..];
    }
    if !data.is_empty() {
        words.push(format!("\\# {} {}", data.len(), hex(data)));
    }
    words.join(" ")
}

/// A response code by its mnemonic.
fn code(rcode: Rcode) -> String {
    let known = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    known.get(usize::from(rcode.0)).map_or_else(|| format!("RCODE{}", rcode.0), |name| (*name).to_owned())
}

/// Types with their names, and the shape of their data: `n`ame, `s`hort, `l`ong, `t`ext, IPv`4`, IPv`6`.
const TYPES: &[(RecordType, &str, &str)] = &[
    (RecordType::A, "A", "4"),
    (RecordType::NS, "NS", "n"),
    (RecordType::CNAME, "CNAME", "n"),
    (RecordType::SOA, "SOA", "nnlllll"),
    (RecordType::PTR, "PTR", "n"),
    (RecordType::HINFO, "HINFO", "tt"),
    (RecordType::MX, "MX", "sn"),
    (RecordType::TXT, "TXT", "t"),
    (RecordType::AAAA, "AAAA", "6"),
    (RecordType::SRV, "SRV", "sssn"),
    (RecordType::AXFR, "AXFR", ""),
    (RecordType::ANY, "ANY", ""),
];
