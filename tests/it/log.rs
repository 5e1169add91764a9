//! Lines about queries: while nobody reads them, and at the end.

use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use testkit::Port;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Far more lines than a pipe holds.
const QUERIES: u16 = 2_000;

/// The ID of queries that find out whether the daemon serves.
const PROBE: u16 = 0xffff;

#[test]
fn answers_wait_for_no_reader_and_no_line_is_lost() {
    let (folder, port) = (tempfile::tempdir().expect("a folder"), Port::free());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
    std::fs::write(folder.path().join("Corefile"), format!(".:{} {{\n log\n whoami\n}}\n", port.number()))
        .expect("written");
    let mut daemon = Command::new(crate::program())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the daemon runs");
    while testkit::ask(address, &query(PROBE), PATIENCE).is_err() {
        assert!(daemon.try_wait().expect("a child of ours").is_none(), "it has ended");
        sleep(Duration::from_millis(5));
    }
    for id in 0..QUERIES {
        let reply = testkit::ask(address, &query(id), PATIENCE).expect("a reply though nobody reads the log");
        assert_eq!(reply[..2], id.to_be_bytes());
    }
    kill_process(Pid::from_child(&daemon), Signal::TERM).expect("the daemon runs");
    let mut log = String::new();
    daemon.stdout.take().expect("a pipe").read_to_string(&mut log).expect("lines");
    assert!(daemon.wait().expect("a child of ours").success());
    let ids: Vec<u16> = log.lines().filter_map(id).filter(|&id| id != PROBE).collect();
    assert!(log.contains("[INFO] SIGTERM: Shutting down servers then terminating\n"));
    // In their order, whichever worker they came from.
    assert!(ids.iter().copied().eq(0..QUERIES), "{} lines: {ids:?}", ids.len());
}

/// The ID of the query that a line is about.
fn id(line: &str) -> Option<u16> {
    line.strip_prefix("[INFO] 127.0.0.1:")?.split(' ').nth(2)?.parse().ok()
}

/// A query for `a.example` of type A.
fn query(id: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], b"\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01"].concat()
}
