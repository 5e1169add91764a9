//! The daemon under pressure from outside: broken and hostile Corefiles, taken ports, reloads that fail, the end.

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::Port;

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A query for `a.test` of type A without EDNS, with this ID.
pub(super) fn query(id: u8) -> Vec<u8> {
    [&[0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\x04test\0\0\x01\0\x01"].concat()
}

/// A daemon in a folder of its own; ends with its owner.
pub(super) struct Daemon {
    pub(super) folder: TempDir,
    child: Child,
}

impl Daemon {
    pub(super) fn start(corefile: &str, env: &[(&str, &str)], args: &[&str]) -> Daemon {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("Corefile"), corefile).expect("written");
        Daemon::start_in(folder, args, env)
    }

    /// One that finds what is in `folder`, with more flags.
    pub(super) fn start_in(folder: TempDir, flags: &[&str], env: &[(&str, &str)]) -> Daemon {
        let mut command = Command::new(crate::program());
        command.args(["-conf", "Corefile", "-pidfile", "pid"]).args(flags).envs(env.iter().copied());
        Daemon::run(folder, command)
    }

    /// One that is started in its folder in another way.
    pub(super) fn run(folder: TempDir, mut command: Command) -> Daemon {
        let log = File::create(folder.path().join("log")).expect("a log");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the daemon runs");
        Daemon { folder, child }
    }

    /// One that serves already.
    pub(super) fn serving(corefile: &str) -> Daemon {
        Daemon::serving_with(corefile, &[])
    }

    /// The same with further flags.
    pub(super) fn serving_with(corefile: &str, args: &[&str]) -> Daemon {
        let mut daemon = Daemon::start(corefile, &[], args);
        daemon.wait_for("poddns-");
        daemon
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    pub(super) fn wait_for(&mut self, words: &str) {
        self.wait_until(words, |log| log.contains(words));
    }

    fn wait_until(&mut self, what: &str, said: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child of ours");
            if said(&self.log()) {
                return;
            }
            assert!(ended.is_none(), "ends with {ended:?}, not said: {what}\n{}", self.log());
            assert!(begin.elapsed() < PATIENCE, "not said: {what}\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    /// Has it serve another Corefile, its `number`th reload.
    pub(super) fn reload(&mut self, corefile: &str, number: usize) {
        fs::write(self.folder.path().join("Corefile"), corefile).expect("written");
        self.signal(Signal::USR1);
        self.wait_until(&format!("reload {number} is complete"), |log| {
            log.matches("Reloading complete").count() >= number
        });
    }

    /// Its process's ID.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the daemon runs");
    }

    pub(super) fn end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "does not end\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    /// What it says when it refuses to start.
    fn refusal(corefile: &str, env: &[(&str, &str)]) -> String {
        let mut daemon = Daemon::start(corefile, env, &[]);
        assert_eq!(daemon.end().code(), Some(1), "{}", daemon.log());
        daemon.log()
    }
}

impl Drop for Daemon {
    #[expect(clippy::print_stderr, reason = "for who reads why the test fails")]
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            eprintln!("the daemon has ended: {status}");
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ID and the response code of the reply to a query over UDP; the address it came from is compared.
pub(super) fn ask(to: &str, port: u16) -> (u8, u8) {
    let to = (to.parse::<IpAddr>().expect("an address"), port).into();
    let reply = testkit::ask(to, &query(7), PATIENCE).expect("a reply from the address that was asked");
    assert!(reply.len() > 12);
    (reply[1], reply[3] & 15)
}

pub(super) fn page(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the page's address is open");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a page");
    reply
}

#[test]
fn hostile_corefiles_are_refused_soon() {
    let laughs: String =
        (1..9).map(|i| format!("(s{i}) {{\n{}}}\n", format!(" import s{}\n", i - 1).repeat(10))).collect();
    let cases = [
        ("(a) {\n import b\n}\n(b) {\n import a\n}\n.:0 {\n import a\n}\n".to_owned(), "Corefile:5 - "),
        ("import Corefile\n".into(), "maximum file import depth (10000) exceeded"),
        (
            ".:0 {\n whoami {$SELF}\n}\n".into(),
            "Corefile:2 - Error during parsing: environment variable 'SELF' contains itself",
        ),
        ("x".repeat(100_000_000), "too many octets"),
        ("a{\n}\n".repeat(1_000_000), "too many words"),
        (
            format!("(s0) {{\n whoami\n}}\n{laughs}.:0 {{\n import s8\n}}\n"),
            "maximum snippet import depth (10000) exceeded",
        ),
        (format!(".:0 {{\n whoami {}", "{\n".repeat(400_000)), "Unexpected EOF"),
        (".:0 {\n import /dev/zero\n}\n".into(), "more than 16777216 octets are imported"),
        (format!(".:0 {{\n whoami \"{}", "x\n".repeat(1_000_000)), "Unexpected token"),
    ];
    for (corefile, words) in cases {
        let said = Daemon::refusal(&corefile, &[("SELF", "x{$SELF}")]);
        assert!(said.contains(words), "{words}: {said}");
        assert!(said.len() < 10_000, "{words}: {} octets are said", said.len());
    }
}

#[test]
fn every_mistake_is_named_and_nothing_is_left_open() {
    let port = Port::free();
    let n = port.number();
    let said = Daemon::refusal(
        &format!(".:{n} {{\n whoami\n nosuch\n}}\na.test:{n} {{\n nosuch2 {{\n  x\n }}\n cancel x\n}}\n"),
        &[],
    );
    assert_eq!(
        said,
        "Corefile:3 - Error during parsing: Unknown directive 'nosuch'\n\
         Corefile:6 - Error during parsing: Unknown directive 'nosuch2'\n\
         Corefile:9 - plugin/cancel: invalid duration: \"x\"\n"
    );
    let said = Daemon::refusal(&format!(".:{n} {{\n bind\n errors x y\n}}\na.test:{n} {{\n cancel x\n}}\n"), &[]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines.iter().all(|l| l.contains("Corefile:")), "{said}");
}

#[test]
fn a_taken_port_is_named_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let said = Daemon::refusal(&format!("a.test:{port} {{\n bind 127.0.0.1\n whoami\n}}\n"), &[]);
    let words =
        format!("Listen: listen tcp 127.0.0.1:{port}: bind: address already in use\n  another process listens there");
    assert!(said.starts_with(&words), "{said}");
}

/// The system lets a worker wait for some 10 ms whenever it makes more room.
#[test]
fn there_is_room_for_many_open_files_from_the_start() {
    let port = Port::free();
    let daemon = Daemon::serving(&format!(".:{} {{\n whoami\n}}\n", port.number()));
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("a process");
    let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("a table of open files");
    let room: u64 = room.trim().parse().expect("a number");
    let allowed = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    assert!(room >= allowed.min(16_384), "{room}");
}

#[test]
fn replies_leave_from_the_address_that_was_asked() {
    let port = Port::free();
    let _daemon = Daemon::serving(&format!(".:{} {{\n whoami\n}}\n", port.number()));
    for to in ["127.0.0.1", "127.0.0.2", "::1"] {
        let there = UdpSocket::bind((to, 0)).is_ok(); // a machine may have no IPv6
        assert!(!there || ask(to, port.number()) == (7, 0), "{to}");
    }
}

#[test]
fn a_connection_carries_queries_one_behind_the_other() {
    let port = Port::free();
    let _daemon = Daemon::serving(&format!(".:{} {{\n whoami\n}}\n", port.number()));
    let mut stream = TcpStream::connect(("127.0.0.1", port.number())).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let framed = |id| [&(query(id).len() as u16).to_be_bytes()[..], &query(id)].concat();
    let all: Vec<u8> = (0..200).flat_map(framed).collect();
    stream.write_all(&all).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("our side ends");
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).expect("all replies, then the end");
    let mut ids = Vec::new();
    let mut rest = &replies[..];
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (message, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)));
        ids.push(message[1]);
        rest = tail;
    }
    assert_eq!(ids, (0..200).collect::<Vec<u8>>());
}

#[test]
fn messages_may_come_in_pieces_and_a_silent_connection_ends() {
    let port = Port::free();
    let corefile = format!(".:{} {{\n timeouts {{\n idle 1s\n }}\n whoami\n}}\n", port.number());
    let _daemon = Daemon::serving(&corefile);
    let mut stream = TcpStream::connect(("127.0.0.1", port.number())).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_nodelay(true).expect("set");
    let framed = |id| [&(query(id).len() as u16).to_be_bytes()[..], &query(id)].concat();
    let all: Vec<u8> = (0..3).flat_map(framed).collect();
    for piece in all.chunks(all.len() / 5) {
        stream.write_all(piece).expect("sent");
        sleep(Duration::from_millis(20));
    }
    for id in 0..3 {
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a reply");
        let mut reply = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut reply).expect("a whole reply");
        assert_eq!(reply[1], id);
    }
    assert_eq!(stream.read_to_end(&mut Vec::new()).expect("the end, not a failure"), 0);
}

/// Reads the messages of a reply to AXFR until one ends with the zone's SOA record.
fn transferred(mut stream: TcpStream, zone: &[u8]) -> Vec<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let question = [&[0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], zone, b"\0\xfc\0\x01"].concat();
    let length = (question.len() as u16).to_be_bytes();
    stream.write_all(&[&length[..], &question].concat()).expect("sent");
    let mut messages: Vec<Vec<u8>> = Vec::new();
    // Five numbers of an SOA record: its serial cannot be known, the others can.
    let end = [7200u32, 1800, 86_400, 5].map(u32::to_be_bytes).concat();
    while !messages.iter().skip(1).any(|message| message.ends_with(&end)) {
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("another message");
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message).expect("a whole message");
        sleep(Duration::from_millis(20)); // a slow client
        messages.push(message);
    }
    messages
}

#[test]
fn a_large_zone_is_transferred_message_by_message() {
    const SERVICES: usize = 3_000;
    let service = |n: usize| {
        format!("---\nkind: Service\nmetadata: {{name: service-{n}, namespace: n}}\nspec: {{clusterIP: 10.96.0.1}}\n")
    };
    let objects = "kind: Namespace\nmetadata: {name: n}\n".to_owned() + &(0..SERVICES).map(service).collect::<String>();
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("cluster.yaml"), objects).expect("written");
    let port = Port::free();
    let manifests = folder.path().join("cluster.yaml");
    let kubernetes = format!("kubernetes cluster.local {{\nmanifests {}\n}}", manifests.display());
    let mut daemon = Daemon::serving(&format!(
        ".:{port} {{\nbind 127.0.0.1\ntransfer {{\nto *\n}}\n{kubernetes}\n}}\n",
        port = port.number()
    ));
    let zone = b"\x07cluster\x05local\0";
    let messages = transferred(TcpStream::connect(("127.0.0.1", port.number())).expect("open"), zone);
    assert!(messages.len() > 2, "{}", messages.len());
    assert!(messages.iter().all(|m| m.len() < 65_000 && m[..4] == [0, 9, 0x84, 0] && m[12..].starts_with(zone)));
    let records: usize = messages.iter().map(|m| usize::from(u16::from_be_bytes([m[6], m[7]]))).sum();
    assert_eq!(records, 2 * SERVICES + 2, "an address and a port for each, and the SOA twice");
    daemon.wait_for(&format!("Outgoing transfer of {records} records of zone \"cluster.local.\" to 127.0.0.1 for "));
}

#[test]
fn a_reload_that_fails_changes_nothing() {
    let (dns, metrics, health) = (Port::free(), Port::free(), Port::free());
    let (n, m, h) = (dns.number(), metrics.number(), health.number());
    let good = format!(".:{n} {{\n whoami\n prometheus localhost:{m}\n health :{h}\n}}\n");
    let mut daemon = Daemon::serving(&good);
    let shown = || {
        let page = page(m, "/metrics");
        let kept = |l: &&str| l.starts_with("coredns_plugin_enabled") || l.starts_with("coredns_build");
        page.lines().filter(kept).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = shown();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let t = taken.local_addr().expect("bound").port();
    let more = format!("a.test:{t} {{\n bind 127.0.0.1\n whoami\n}}\n");
    let broken = [
        (good.replace("whoami", "nosuch"), "Corefile:2 - Error during parsing: Unknown directive 'nosuch'"),
        (good.replace("whoami", "errors x y"), "Corefile:2 - "),
        (format!("{}{more}", good.replace("whoami", "errors")), "address already in use"),
        (good.replace(&format!("health :{h}"), &format!("health 127.0.0.1:{t}")), "address already in use"),
        (good.replace(&format!("localhost:{m}"), &format!("127.0.0.1:{t}")), "address already in use"),
        (good.replace("whoami", "bind ::1 {\n except ::1\n }\n whoami"), "no server block listens on any address"),
    ];
    for (i, (corefile, why)) in broken.into_iter().enumerate() {
        fs::write(daemon.folder.path().join("Corefile"), corefile).expect("written");
        daemon.signal(Signal::USR1);
        while daemon.log().matches("[ERROR] SIGUSR1: starting with listener file descriptors: ").count() <= i {
            daemon.wait_for("Reloading");
            assert_eq!(ask("127.0.0.1", n), (7, 0));
        }
        assert!(daemon.log().lines().any(|l| l.starts_with("[ERROR] Restart failed: ") && l.contains(why)), "{why}");
        assert_eq!(ask("127.0.0.1", n), (7, 0));
        assert_eq!(shown(), before);
        assert!(page(h, "/health").ends_with("OK"));
    }
    fs::write(daemon.folder.path().join("Corefile"), good.replace("whoami", "errors")).expect("written");
    daemon.signal(Signal::USR1);
    daemon.wait_for("Reloading complete");
    assert_eq!(ask("127.0.0.1", n), (7, 2));
}

#[test]
fn signals_end_the_process_as_they_say() {
    for (signals, code, said) in [
        (&[Signal::TERM][..], 0, "SIGTERM: Shutting down servers then terminating"),
        (&[Signal::INT], 0, "SIGINT: Shutting down"),
        (&[Signal::QUIT], 0, ""),
    ] {
        let port = Port::free();
        let mut daemon = Daemon::serving(&format!(".:{} {{\n whoami\n}}\n", port.number()));
        assert!(daemon.folder.path().join("pid").exists());
        daemon.signal(Signal::HUP);
        signals.iter().for_each(|s| daemon.signal(*s));
        assert_eq!(daemon.end().code(), Some(code), "{said}");
        assert!(daemon.log().contains(said), "{}", daemon.log());
        assert!(!daemon.folder.path().join("pid").exists());
    }
}

#[test]
fn a_second_interrupt_cuts_the_lame_duck_short() {
    let (dns, health) = (Port::free(), Port::free());
    let corefile =
        format!(".:{} {{\n whoami\n health :{} {{\n  lameduck 60s\n }}\n}}\n", dns.number(), health.number());
    let mut daemon = Daemon::serving(&corefile);
    daemon.signal(Signal::TERM);
    daemon.wait_for("Going into lameduck mode for 1m0s");
    assert_eq!(ask("127.0.0.1", dns.number()), (7, 0));
    assert!(page(health.number(), "/health").ends_with("OK"));
    daemon.signal(Signal::INT);
    daemon.wait_for("SIGINT: Shutting down");
    daemon.signal(Signal::INT);
    assert_eq!(daemon.end().code(), Some(2));
    assert!(daemon.log().ends_with("[INFO] SIGINT: Force quit\n"), "{}", daemon.log());
}

#[test]
fn ready_says_that_the_server_stops() {
    let (dns, health, ready) = (Port::free(), Port::free(), Port::free());
    let (n, h, r) = (dns.number(), health.number(), ready.number());
    let corefile = format!(
        ".:{n} {{\n whoami\n ready :{r}\n health :{h} {{\n  lameduck 60s\n }}\n}}\na.test:{n} {{\n whoami\n ready :{h}\n}}\n"
    );
    let mut daemon = Daemon::serving(&corefile);
    for port in [r, h] {
        assert!(page(port, "/ready").starts_with("HTTP/1.1 200 "));
    }
    daemon.signal(Signal::TERM);
    daemon.wait_for("Going into lameduck mode for 1m0s");
    assert!(page(h, "/ready").starts_with("HTTP/1.1 503 "));
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", r)).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "an address that has only /ready is closed");
        sleep(Duration::from_millis(5));
    }
    assert!(page(h, "/health").ends_with("OK"));
    assert_eq!(ask("127.0.0.1", n), (7, 0));
}

#[test]
fn every_spelling_of_all_addresses_means_both_families() {
    let v6 = TcpListener::bind("[::1]:0").is_ok(); // a machine may have no IPv6
    for bind in ["0.0.0.0", "::", "::ffff:127.0.0.1"] {
        let port = Port::free();
        let _daemon = Daemon::serving(&format!(".:{} {{\n bind {bind}\n whoami\n}}\n", port.number()));
        assert_eq!(ask("127.0.0.1", port.number()), (7, 0), "{bind}");
        if v6 && bind != "::ffff:127.0.0.1" {
            assert_eq!(ask("::1", port.number()), (7, 0), "{bind}");
        }
    }
}
