//! Scripted upstream resolvers, over UDP and TCP.

use crate::Port;
use crate::dns::{Edns, Message, Name, Question, Record, flag, hex, rcode_from_text, type_from_text, type_text};
use serde::Deserialize;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Answers on a port of 127.0.0.1 as its script says, and remembers what it was asked; stops when dropped.
///
/// What it is asked is looked up as `name type udp`, `name type`, then `*`, in lower case, without the name's last dot; what
/// is not found is NXDOMAIN.
pub struct Upstream {
    port: Port,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

/// `name type [udp|tcp]` → what is answered.
pub type Script = HashMap<String, Turns>;

/// One answer for good, or one for each time asked, the last of them for good.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Turns {
    /// For good.
    Always(Answer),
    /// In turn.
    Each(Vec<Answer>),
}

/// What is answered to a question.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// `"none"`: nothing.
    Silence(Silence),
    /// A message.
    Message(Box<Scripted>),
}

/// No reply.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Silence {
    /// As it is written in scripts.
    None,
}

/// A reply. What is not set is as a well-meaning resolver has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scripted {
    /// The response code's word.
    pub status: Option<String>,
    /// Words for all flags but `qr`; otherwise `ra`, and `rd` where the question has it.
    pub flags: Option<String>,
    /// `NAME TYPE` in place of the question asked.
    pub question: Option<String>,
    /// Records in presentation form.
    pub answer: Vec<String>,
    /// Records in presentation form.
    pub authority: Vec<String>,
    /// Records in presentation form.
    pub additional: Vec<String>,
    /// `"none"`: no OPT, even if the question has one.
    pub opt: Option<String>,
    /// Seconds before it is sent.
    pub delay: f64,
    /// Hex digits in place of all but the message's number.
    pub raw: Option<String>,
    /// `"wrong"`: another number than the question's.
    pub id: Option<String>,
}

/// A question as the upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `name. TYPE +do +bufsize=N +nord +cd +tcp`.
    pub question: String,
    /// `ad`, and EDNS options as `CODE:HEX`.
    pub extras: Vec<String>,
}

struct State {
    script: Script,
    turns: HashMap<String, usize>,
    seen: Vec<Seen>,
}

impl Upstream {
    /// Starts one on a free port, on the current tokio runtime.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub async fn start(script: Script) -> io::Result<Self> {
        let port = Port::free();
        let state = Arc::new(Mutex::new(State { script: HashMap::new(), turns: HashMap::new(), seen: Vec::new() }));
        let udp = Arc::new(UdpSocket::bind(("127.0.0.1", port.number())).await?);
        let tcp = TcpListener::bind(("127.0.0.1", port.number())).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, state.clone()));
        tasks.spawn(serve_tcp(tcp, state.clone()));
        let upstream = Self { port, state, _tasks: tasks };
        upstream.script(script);
        Ok(upstream)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Adds to the script, or replaces what is there; answers in turn start anew.
    pub fn script(&self, script: Script) {
        let mut state = lock(&self.state);
        state.script.extend(script.into_iter().map(|(key, turns)| (key.to_lowercase(), turns)));
        state.turns.clear();
    }

    /// The questions since the last call, in order. The probe `. NS` is not among them, unless it is in the script.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.state).seen)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve_udp(socket: Arc<UdpSocket>, state: Arc<Mutex<State>>) {
    let mut buffer = vec![0; 65_535];
    let mut late = JoinSet::new();
    while let Ok((n, peer)) = socket.recv_from(&mut buffer).await {
        let Some((reply, delay)) = lock(&state).answer(&buffer[..n], "udp") else { continue };
        let socket = socket.clone();
        late.spawn(async move {
            tokio::time::sleep(delay).await;
            // Whoever asked may have gone; what it misses is the test's business.
            let _ = socket.send_to(&reply, peer).await;
        });
        while late.try_join_next().is_some() {}
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve_connection(stream, state.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one question after the other, until the client has enough.
async fn serve_connection(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    while let Ok(n) = stream.read_u16().await {
        let mut wire = vec![0; n.into()];
        if stream.read_exact(&mut wire).await.is_err() {
            return;
        }
        let Some((reply, delay)) = lock(&state).answer(&wire, "tcp") else { continue };
        tokio::time::sleep(delay).await;
        let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
        if stream.write_all(&framed).await.is_err() {
            return;
        }
    }
}

impl State {
    /// The reply to a packet and how long it is held back; `None` for what is no question, and where the script is silent.
    fn answer(&mut self, wire: &[u8], protocol: &str) -> Option<(Vec<u8>, Duration)> {
        let query = Message::parse(wire).ok()?;
        let question = query.questions.first()?;
        let name = question.name.to_string();
        let name = name.strip_suffix('.').filter(|n| !n.is_empty()).unwrap_or(".");
        let key = format!("{name} {}", type_text(question.rtype)).to_lowercase();
        if key != ". ns" || self.script.contains_key(&key) {
            self.seen.push(seen(&query, question, protocol));
        }
        let scripted = self.pick(&key, protocol)?;
        let delay = Duration::from_secs_f64(scripted.delay);
        Some((scripted.reply(&query).ok()?, delay))
    }

    fn pick(&mut self, key: &str, protocol: &str) -> Option<Scripted> {
        let exact = format!("{key} {protocol}");
        let Some(turns) = [exact.as_str(), key, "*"].iter().find_map(|k| self.script.get(*k)) else {
            return Some(Scripted::unknown());
        };
        let answer = match turns {
            Turns::Always(answer) => answer,
            Turns::Each(answers) => {
                let turn = self.turns.entry(key.to_owned()).or_default();
                *turn += 1;
                answers.get(*turn - 1).or(answers.last())?
            }
        };
        match answer {
            Answer::Silence(Silence::None) => None,
            Answer::Message(scripted) => Some((**scripted).clone()),
        }
    }
}

fn seen(query: &Message, question: &Question, protocol: &str) -> Seen {
    let edns = query.edns.as_ref();
    let words = [
        (edns.is_some_and(|e| e.dnssec_ok), " +do".to_owned()),
        (edns.is_some(), format!(" +bufsize={}", edns.map_or(0, |e| e.size))),
        (query.bits & flag::RD == 0, " +nord".to_owned()),
        (query.bits & flag::CD != 0, " +cd".to_owned()),
        (protocol == "tcp", " +tcp".to_owned()),
    ];
    let flags: String = words.into_iter().filter(|w| w.0).map(|w| w.1).collect();
    let ad = (query.bits & flag::AD != 0).then(|| "ad".to_owned());
    let options = edns.into_iter().flat_map(|e| &e.options).map(|(code, data)| format!("{code}:{}", hex(data)));
    let question = format!("{} {}{flags}", question.name, type_text(question.rtype));
    Seen { question, extras: ad.into_iter().chain(options).collect() }
}

impl Scripted {
    /// What a name has that is not in the script.
    fn unknown() -> Self {
        let soa = "example.org. 300 IN SOA ns.example.org. admin.example.org. 1 7200 900 86400 60";
        Self { status: Some("NXDOMAIN".into()), authority: vec![soa.into()], ..Self::default() }
    }

    /// The reply on the wire.
    ///
    /// # Errors
    /// A record that cannot be written, one with a relative name above all; nothing is sent then.
    ///
    /// # Panics
    /// The script has a word that is no flag or response code, or something that is no hex digits.
    fn reply(&self, query: &Message) -> Result<Vec<u8>, String> {
        let rcode = rcode_from_text(self.status.as_deref().unwrap_or("NOERROR")).expect("a response code");
        let records = |lines: &[String]| lines.iter().map(|l| Record::from_text(l)).collect::<Result<Vec<_>, _>>();
        let edns = query.edns.as_ref().filter(|_| self.opt.as_deref() != Some("none"));
        let reply = Message {
            id: query.id,
            bits: self.bits(query) | rcode & 15,
            questions: self.question.as_deref().map_or_else(|| query.questions.clone(), |q| vec![question(q)]),
            answer: records(&self.answer)?,
            authority: records(&self.authority)?,
            additional: records(&self.additional)?,
            edns: edns.map(|e| Edns { size: 1232, dnssec_ok: e.dnssec_ok, ..Edns::default() }),
            signed: false,
        };
        let mut wire = reply.to_wire();
        if let Some(raw) = &self.raw {
            let octets = |at| u8::from_str_radix(&raw[at..at + 2], 16).expect("hex digits");
            wire.truncate(2);
            wire.extend((0..raw.len()).step_by(2).map(octets));
        }
        if self.id.as_deref() == Some("wrong") {
            wire[0] ^= 255;
        }
        Ok(wire)
    }

    fn bits(&self, query: &Message) -> u16 {
        let Some(words) = &self.flags else {
            return flag::QR | flag::RA | query.bits & (flag::RD | OPCODE);
        };
        let bit = |word: &str| flag::NAMES.iter().find(|f| f.1.eq_ignore_ascii_case(word)).expect("a flag").0;
        words.split_whitespace().map(bit).fold(flag::QR, |bits, b| bits | b)
    }
}

fn question(text: &str) -> Question {
    let (name, rtype) = text.split_once(' ').expect("NAME TYPE");
    let name = Name::from_text(name).expect("a name");
    Question { name, rtype: type_from_text(rtype).expect("a type"), class: 1 }
}

/// The opcode's bits of the header.
const OPCODE: u16 = 0x7800;

#[cfg(test)]
mod tests {
    use super::{Script, Upstream};
    use crate::dns::{Message, flag, rcode_text};
    use tokio::net::UdpSocket;

    async fn ask(upstream: &Upstream, name: &str) -> Message {
        let query = Message { id: 9, ..Message::query(name, 1) };
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.send_to(&query.to_wire(), ("127.0.0.1", upstream.port())).await.expect("sent");
        let mut buffer = [0; 512];
        let n = socket.recv(&mut buffer).await.expect("a reply");
        Message::parse(&buffer[..n]).expect("a message")
    }

    #[tokio::test]
    async fn answers_in_turn_and_remembers() {
        let script: Script = serde_json::from_str(
            r#"{"A.test A": [{"status": "SERVFAIL"}, {"answer": ["a.test. 60 IN A 192.0.2.1"], "flags": "aa"}]}"#,
        )
        .expect("a script");
        let upstream = Upstream::start(script).await.expect("started");
        assert_eq!(rcode_text(ask(&upstream, "a.test").await.rcode()), "SERVFAIL");
        for _ in 0..2 {
            let reply = ask(&upstream, "a.test").await;
            assert_eq!(reply.answer[0].to_string(), "a.test. 60 IN A 192.0.2.1");
            assert_eq!(reply.bits, flag::QR | flag::AA);
        }
        assert_eq!(rcode_text(ask(&upstream, "b.test").await.rcode()), "NXDOMAIN");
        let seen: Vec<String> = upstream.take_seen().into_iter().map(|s| s.question).collect();
        assert_eq!(seen, ["a.test. A", "a.test. A", "a.test. A", "b.test. A"]);
    }
}
