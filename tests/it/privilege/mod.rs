//! What the daemon does, it does as any user, with one capability, the system calls of `deploy/seccomp.json` and a file system that is
//! read-only but for the snapshot and the copy of `-fallback`.

mod confined;
mod profile;
mod world;

use crate::operations::{assert_all_answered, clients, question};
use crate::server::{Daemon, PATIENCE, page};
use confined::{Means, USER, alone, say};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::dns::Message;
use testkit::{Load, Plan, Port, Tally};
use world::{World, ZONES, service};

#[test]
fn all_that_it_does_is_in_its_profile() {
    alone("privilege::all_that_it_does");
}

#[test]
#[ignore = "is run by the one above, by itself"]
fn all_that_it_does() {
    let means = Means::found();
    let folder = means.folder();
    let world = World::new(means, folder.path());
    fs::write(folder.path().join("Corefile"), world.corefile("")).expect("written");
    let before = names(folder.path());
    let mut daemon = means.start(folder, &["-conf", "Corefile", "-fallback", "state/kept"]);
    daemon.wait_for("poddns-");
    assert_rights(&daemon, means);
    let server = SocketAddr::from(([127, 0, 0, 1], world.number));
    let known = ["one.d.svc.cluster.local.".to_owned(), "www.hosts.test.".into()];
    let known: Vec<String> = known.into_iter().chain(ZONES.map(|zone| format!("www.{zone}.test."))).collect();
    known.iter().for_each(|name| wait_for_answer(server, name));
    assert!(page(world.health.number(), "/health").ends_with("OK"));
    assert!(page(world.ready.number(), "/ready").ends_with("OK"));
    assert!(page(world.metrics.number(), "/metrics").contains("coredns_dns_requests_total"));
    burst(server, &known[0]);
    let load =
        Load::start(Plan { server, queries: known.iter().map(|name| question(name)).collect(), ..clients(&world.dns) });
    load.wait_for(1_000);
    world.api.put(service("two"));
    wait_for_answer(server, "two.d.svc.cluster.local.");
    reloads(&mut daemon, &world, &load);
    succeeds(&mut daemon, load, server);
    assert!(!daemon.log().contains("not permitted"), "{}", daemon.log());
    assert_eq!(names(&daemon.folder.path().join("state")), ["cluster", "kept"], "{}", daemon.log());
    assert_eq!(names(daemon.folder.path()), before, "nothing else is written");
}

/// More queries at once than a batch has room for: what the daemon does under load only.
fn burst(server: SocketAddr, name: &str) {
    const QUERIES: usize = 200;
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    (0..QUERIES).for_each(|_| assert!(socket.send(&question(name)).expect("sent") > 0));
    (0..QUERIES).for_each(|_| assert!(socket.recv(&mut [0; 512]).expect("a reply") > 0));
}

/// At SIGHUP nothing happens; SIGUSR1, and the directive `reload`, read the Corefile again.
fn reloads(daemon: &mut Daemon, world: &World, load: &Load) {
    let corefile = daemon.folder.path().join("Corefile");
    daemon.signal(Signal::HUP);
    for (round, more) in [(1, "nsid one"), (2, "nsid two")] {
        fs::write(&corefile, world.corefile(more)).expect("written");
        if round == 1 {
            daemon.signal(Signal::USR1);
        }
        wait_until(|| daemon.log().matches("Reloading complete").count() == round, daemon);
        load.wait_for(100);
    }
    let kept = daemon.folder.path().join("state/kept");
    wait_until(|| fs::read_to_string(&kept).is_ok_and(|text| text.contains("nsid two")), daemon);
}

/// SIGUSR2 starts a successor, which ends the process with SIGTERM once it serves; then it is ended the same way.
fn succeeds(daemon: &mut Daemon, load: Load, server: SocketAddr) {
    daemon.signal(Signal::USR2);
    daemon.wait_for("SIGUSR2: Started process ");
    let log = daemon.log();
    let id = log.split_once("SIGUSR2: Started process ").and_then(|(_, id)| id.lines().next()?.parse().ok());
    let id: i32 = id.expect("its ID");
    let successor = Successor(Pid::from_raw(id).expect("an ID"));
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    load.wait_for(100);
    let tally = load.finish();
    assert_all_answered(&Tally { crossed: 0, ..tally }); // a connection may have been the old one's, which ends it in order
    wait_for_answer(server, "www.hosts.test.");
    kill_process(successor.0, Signal::TERM).expect("it runs");
    // It is no child of ours: nobody may ask for its status.
    let state = || fs::read_to_string(format!("/proc/{id}/stat")).ok();
    wait_until(|| state().is_none_or(|state| state.contains(") Z ")), daemon);
    assert_eq!(daemon.log().matches("SIGTERM: Shutting down servers then terminating").count(), 2);
}

/// Ends with its owner.
struct Successor(Pid);

impl Drop for Successor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn nothing_has_to_be_written() {
    let means = Means::found();
    if !means.files && !means.user {
        say("every file can be written: nothing is tested");
        return;
    }
    let (folder, port) = (means.folder(), Port::free());
    fs::write(folder.path().join("Corefile"), format!(".:{} {{\n bind 127.0.0.1\n whoami\n}}\n", port.number()))
        .expect("written");
    let before = names(folder.path());
    let mut daemon = means.start(folder, &["-conf", "Corefile", "-fallback", "kept", "-pidfile", "pid"]);
    daemon.wait_for("poddns-");
    assert_rights(&daemon, means);
    let why = if means.files { "read-only file system" } else { "permission denied" };
    daemon.wait_for(&format!("[ERROR] Could not write pidfile: open pid: {why}\n"));
    daemon.wait_for(&format!("[WARNING] the configuration that runs cannot be kept in kept (-fallback): {why}\n"));
    wait_for_answer(([127, 0, 0, 1], port.number()).into(), "a.test.");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
    assert_eq!(names(daemon.folder.path()), before);
}

/// What the kernel says that a process may do.
fn assert_rights(daemon: &Daemon, means: Means) {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("it runs");
    let words = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((words("Seccomp"), words("NoNewPrivs")), (vec!["2".to_owned()], vec!["1".to_owned()]));
    if means.user {
        assert_eq!(words("Uid"), vec![USER.to_string(); 4]);
        let bind_service = format!("{:016x}", 1 << 10);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(words(set), [bind_service.as_str()], "{set}");
        }
    }
}

/// Asks over UDP until the answer is a success: the daemon may still have to be told of a name.
fn wait_for_answer(server: SocketAddr, name: &str) {
    let (begin, attempt) = (Instant::now(), Duration::from_secs(2));
    let known = || {
        let reply = testkit::ask(server, &question(name), attempt).map_err(|e| e.to_string())?;
        let rcode = Message::parse(&reply).expect("a message").rcode();
        if rcode == 0 { Ok(()) } else { Err(format!("response code {rcode}")) }
    };
    while let Err(why) = known() {
        assert!(begin.elapsed() < PATIENCE, "{name}: {why}");
        sleep(Duration::from_millis(20));
    }
}

fn wait_until(mut is_so: impl FnMut() -> bool, daemon: &Daemon) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{}", daemon.log());
        sleep(Duration::from_millis(20));
    }
}

/// What is in a folder, but for the log that the test writes.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name != "log").collect();
    names.sort();
    names
}
