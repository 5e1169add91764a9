//! A question written as one line, `NAME TYPE [CLASS] [+option …]`, and what comes back.

use super::shown::{self, shown};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use testkit::dns::{
    Edns, Malformed, Message, Name, Question, Record, class_from_text, flag, opcode_from_text, type_from_text,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

/// A question and how it is asked.
pub(super) struct Ask {
    pub(super) message: Message,
    options: HashMap<String, String>,
}

impl Ask {
    /// Reads the line.
    ///
    /// # Panics
    /// It is none.
    pub(super) fn parse(line: &str) -> Self {
        let (options, words): (Vec<&str>, Vec<&str>) = line.split_whitespace().partition(|w| w.starts_with('+'));
        let pair =
            |o: &str| o[1..].split_once('=').map_or((o[1..].into(), String::new()), |(k, v)| (k.into(), v.into()));
        let options: HashMap<String, String> = options.into_iter().map(pair).collect();
        let question = Question {
            name: Name::from_text(words[0]).unwrap_or_else(|e| panic!("{line}: {e}")),
            rtype: type_from_text(words[1]).unwrap_or_else(|| panic!("{line}: type")),
            class: class_from_text(words.get(2).unwrap_or(&"IN")).unwrap_or_else(|| panic!("{line}: class")),
        };
        let has = |key: &str| options.contains_key(key);
        let bit = |key: &str, bit: u16| if has(key) { bit } else { 0 };
        let opcode = options.get("opcode").map_or(0, |o| opcode_from_text(o).expect("an opcode"));
        let serial = |serial: &String| {
            let soa = format!("{} 3600 IN SOA ns. host. {serial} 7200 3600 1209600 300", question.name);
            Record::from_text(&soa).expect("a SOA record")
        };
        let message = Message {
            id: number(),
            bits: bit("cd", flag::CD)
                | bit("ad", flag::AD)
                | (flag::RD & !bit("nord", flag::RD))
                | u16::from(opcode) << 11,
            authority: options.get("ixfr").map(serial).into_iter().collect(),
            edns: ["do", "bufsize", "edns", "ednsopt", "ednsver"].iter().any(|o| has(o)).then(|| edns(&options)),
            questions: vec![question],
            ..Message::default()
        };
        Self { message, options }
    }

    fn value<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        self.options.get(key).and_then(|v| v.parse().ok()).unwrap_or(default)
    }

    fn has(&self, key: &str) -> bool {
        self.options.contains_key(key)
    }

    /// Asks on 127.0.0.1 at `port`; the reply as the recordings have it.
    pub(super) async fn send(&self, port: u16, local: bool) -> Value {
        let from = SocketAddr::new(self.value("from", IpAddr::V4(Ipv4Addr::UNSPECIFIED)), 0);
        let to = SocketAddr::new(self.value("to", IpAddr::V4(Ipv4Addr::LOCALHOST)), self.value("port", port));
        let patience = Duration::from_secs_f64(self.value("timeout", 2.5));
        let asked =
            if self.has("tcp") { self.tcp(from, to, patience).await } else { self.udp(from, to, patience).await };
        let Ok((ours, wires)) = asked else { return json!("none") };
        let replies: Result<Vec<Message>, Malformed> = wires.iter().map(|w| Message::parse(w)).collect();
        let mut reply = match &replies {
            Ok(messages) => messages.iter().map(|m| shown(m, local)).reduce(joined).expect("a reply at least"),
            Err(e) => return json!({"malformed": e.to_string()}),
        };
        let limit = self.message.edns.as_ref().map_or(512, |_| self.value("bufsize", 1232));
        if !self.has("tcp") && wires[0].len() > limit.max(512) {
            reply["oversize"] = wires[0].len().into();
        }
        if replies.is_ok_and(|m| shown::cname_broken(&m[0])) {
            reply["cname_order"] = "broken".into();
        }
        if self.has("sport") { without_port(&reply, ours) } else { reply }
    }

    /// The serial of the first SOA record that 127.0.0.1 has in its reply.
    pub(super) async fn serial(&self, port: u16) -> Option<u32> {
        let (from, to) = ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::LOCALHOST, port).into());
        let (_, wires) = self.udp(from, to, Duration::from_millis(2500)).await.ok()?;
        let reply = Message::parse(&wires[0]).ok()?;
        let record = if reply.answer.is_empty() { reply.authority.first() } else { reply.answer.first() };
        record?.to_string().split(' ').nth(6)?.parse().ok()
    }

    /// Our port and the reply: the first datagram with our number.
    async fn udp(&self, from: SocketAddr, to: SocketAddr, patience: Duration) -> io::Result<(u16, Vec<Vec<u8>>)> {
        let socket = UdpSocket::bind(from).await?;
        socket.send_to(&self.message.to_wire(), to).await?;
        let mut buffer = vec![0; 65_535];
        loop {
            let (n, _) = timeout(patience, socket.recv_from(&mut buffer)).await??;
            if n >= 2 && buffer[..2] == self.message.id.to_be_bytes() {
                return Ok((socket.local_addr()?.port(), vec![buffer[..n].to_vec()]));
            }
        }
    }

    /// Our port and the reply; all messages of a transfer.
    async fn tcp(&self, from: SocketAddr, to: SocketAddr, patience: Duration) -> io::Result<(u16, Vec<Vec<u8>>)> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(from)?;
        let mut stream = timeout(patience, socket.connect(to)).await??;
        let ours = stream.local_addr()?.port();
        stream.write_all(&framed(&self.message.to_wire())).await?;
        let (mut wires, mut soas) = (Vec::new(), 0);
        loop {
            let size = timeout(patience, stream.read_u16()).await??;
            let mut wire = vec![0; size.into()];
            timeout(patience, stream.read_exact(&mut wire)).await??;
            soas += Message::parse(&wire).map_or(2, |m| m.answer.iter().filter(|r| r.rtype == SOA).count());
            wires.push(wire);
            if !self.has("axfr") || soas >= 2 {
                return Ok((ours, wires));
            }
        }
    }
}

/// A message with its length before it, for TCP.
pub(super) fn framed(wire: &[u8]) -> Vec<u8> {
    [&(wire.len() as u16).to_be_bytes()[..], wire].concat()
}

/// A message's number.
fn number() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u16
}

fn edns(options: &HashMap<String, String>) -> Edns {
    let value = |key: &str, default| options.get(key).map_or(default, |v| v.parse().expect("a number"));
    let option = |text: &str| {
        let (code, data) = text.split_once(':').unwrap_or((text, ""));
        (code.parse().expect("an option's code"), octets(data))
    };
    let list = options.get("ednsopt").map_or("", String::as_str);
    Edns {
        size: value("bufsize", 1232),
        extended_rcode: 0,
        version: value("ednsver", 0) as u8,
        dnssec_ok: options.contains_key("do"),
        options: list.split(',').filter(|o| !o.is_empty()).map(option).collect(),
    }
}

/// Octets from hex digits, blanks between them left out.
///
/// # Panics
/// They are none.
pub(super) fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("hex") as u8).collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

/// A transfer's messages as one: the header of the first, the answers of all.
fn joined(mut first: Value, next: Value) -> Value {
    let records = |v: &Value| v["answer"].as_array().cloned().unwrap_or_default();
    let mut all = [records(&first), records(&next)].concat();
    all.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    first["answer"] = all.into();
    first
}

/// Our own port, where the server tells it, as a word.
fn without_port(reply: &Value, port: u16) -> Value {
    let pattern = format!(r"\b{port}\b|(?<=:){port:04x}\b");
    let regex = fancy_regex::Regex::new(&pattern).expect("an expression");
    serde_json::from_str(&regex.replace_all(&reply.to_string(), "@CLIENT@")).expect("JSON still")
}

const SOA: u16 = 6;
