//! What an operator does to a server that is busy: reloads, stops, a successor on the same port. Clients notice nothing.
//!
//! `benches/operations` has the long versions, beside CoreDNS.

use crate::server::{Daemon, PATIENCE, page, query};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;
use testkit::dns::Message;
use testkit::{Api, Load, Plan, Port, Tally, Upstream};

/// Clients that keep a server of this machine busy.
pub(super) fn clients(port: &Port) -> Plan {
    Plan {
        server: ([127, 0, 0, 1], port.number()).into(),
        udp: 64,
        tcp: 8,
        fresh: 8,
        pace: Duration::from_millis(5),
        queries: vec![query(0)],
    }
}

/// What must not happen while a server is open.
pub(super) fn assert_all_answered(tally: &Tally) {
    let Tally { servfail, other, lost, closed, refused, reset, crossed, .. } = *tally;
    assert_eq!([servfail, other, lost, closed, refused, reset, crossed], [0; 7], "{tally:?}");
}

#[test]
fn what_has_reached_a_server_that_stops_is_answered() {
    let corefile = |port: &Port| format!(".:{} {{\n template IN A . {{\n rcode NXDOMAIN\n }}\n}}\n", port.number());
    for _ in 0..3 {
        let port = Port::free();
        let mut daemon = Daemon::serving(&corefile(&port));
        let load = Load::start(clients(&port));
        load.wait_for(1_000);
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.end().code(), Some(0), "{}", daemon.log());
        let tally = load.finish();
        let Tally { servfail, other, lost, reset, .. } = tally; // a connection may be refused once all is closed
        assert_eq!([servfail, other, lost, reset], [0; 4], "{tally:?}");
        assert!(tally.closed > 0, "{tally:?}: it was asked until its end");
    }
}

#[test]
fn a_second_process_takes_over() {
    let port = Port::free();
    let corefile = format!(".:{} {{\n template IN A . {{\n rcode NXDOMAIN\n }}\n}}\n", port.number());
    let mut daemon = Daemon::serving(&corefile);
    let load = Load::start(clients(&port));
    for _ in 0..3 {
        load.wait_for(500);
        let successor = Daemon::serving(&corefile);
        let mut old = std::mem::replace(&mut daemon, successor);
        old.signal(Signal::TERM);
        assert_eq!(old.end().code(), Some(0), "{}", old.log());
    }
    load.wait_for(500);
    let tally = load.finish();
    assert_all_answered(&Tally { crossed: 0, ..tally });
}

/// What a page shows behind the names that begin with `name`, added up.
fn metric(port: &Port, name: &str) -> f64 {
    let page = page(port.number(), "/metrics");
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Asks for pages again and again until it is told to end; how many requests had no answer.
struct Scraper {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Scraper {
    fn start(pages: Vec<(u16, &'static str)>) -> Scraper {
        let ends = Arc::new(AtomicBool::new(false));
        let end = ends.clone();
        let fails =
            |&(port, path): &(u16, &str)| !scrape(port, path).is_ok_and(|text| text.starts_with("HTTP/1.1 200"));
        let thread = std::thread::spawn(move || {
            let mut failed = 0;
            while !end.load(Relaxed) {
                failed += pages.iter().filter(|page| fails(page)).count();
                sleep(Duration::from_millis(2));
            }
            failed
        });
        Scraper { ends, thread }
    }

    fn finish(self) -> usize {
        self.ends.store(true, Relaxed);
        self.thread.join().expect("a scraper that ends")
    }
}

fn scrape(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

pub(super) fn question(name: &str) -> Vec<u8> {
    Message::query(name, 1).to_wire()
}

#[test]
fn reloads_under_load_are_no_event() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let service =
        json!({"kind": "Service", "metadata": {"namespace": "d", "name": "s"}, "spec": {"clusterIP": "10.96.0.7"}});
    let namespace = json!({"kind": "Namespace", "metadata": {"name": "d"}});
    let api = runtime.block_on(Api::start([namespace, service])).expect("started");
    let answer = json!({"www.example.org a": {"answer": ["www.example.org. 3600 IN A 10.0.0.1"]}});
    let upstream = Upstream::start(serde_json::from_value(answer).expect("a script"));
    let upstream = runtime.block_on(upstream).expect("started");
    let (dns, health, ready, metrics) = (Port::free(), Port::free(), Port::free(), Port::free());
    let corefile = format!(
        ".:{} {{\n errors\n health :{}\n ready :{}\n prometheus 127.0.0.1:{}\n kubernetes cluster.local {{\n  endpoint {}\n }}\n \
         cache 3600\n forward . 127.0.0.1:{}\n loadbalance\n}}\n",
        dns.number(),
        health.number(),
        ready.number(),
        metrics.number(),
        api.url(),
        upstream.port()
    );
    let mut daemon = Daemon::serving(&corefile);
    let queries = ["s.d.svc.cluster.local.", "no.d.svc.cluster.local.", "www.example.org."];
    let load = Load::start(Plan { queries: queries.map(question).to_vec(), ..clients(&dns) });
    let pages = [(&health, "/health"), (&ready, "/ready"), (&metrics, "/metrics")];
    let scraper = Scraper::start(pages.iter().map(|(port, path)| (port.number(), *path)).collect());
    load.wait_for(1_000);
    let (asked, seen) = (api.requests().len(), upstream.take_seen().len());
    assert!(asked > 0 && seen > 0);
    for round in 1..=5 {
        // Another block comes and goes.
        let more = if round % 2 == 1 { format!("test:{} {{\n whoami\n}}\n", dns.number()) } else { String::new() };
        daemon.reload(&format!("{corefile}{more}"), round);
        load.wait_for(200);
    }
    assert_eq!(api.requests().len(), asked, "no relist, and no other watch");
    assert_eq!(upstream.take_seen().len(), 0, "the cache is kept");
    assert_eq!(scraper.finish(), 0, "pages are there all the time");
    assert_all_answered(&load.finish());
}

#[test]
fn sockets_are_exchanged_under_load() {
    let dns = Port::free();
    let corefile = |more: &str| {
        format!(".:{} {{\n bind 127.0.0.1\n {more}\n template IN A . {{\n  rcode NXDOMAIN\n }}\n}}\n", dns.number())
    };
    let mut daemon = Daemon::serving(&corefile("multisocket 3"));
    let load = Load::start(clients(&dns));
    for (round, more) in (1..).zip(["multisocket 1", "multisocket 4", "", "multisocket 2"]) {
        load.wait_for(300);
        daemon.reload(&corefile(more), round);
    }
    load.wait_for(300);
    let tally = load.finish();
    assert!(tally.crossed < 100, "{tally:?}");
    // A connection belongs to a socket, and ends with it.
    assert_all_answered(&Tally { crossed: 0, ..tally });
}

/// A listener for all addresses has a socket of its own for one that another block then has for itself, and gets back.
#[test]
fn an_address_changes_hands_under_load() {
    let dns = Port::free();
    let block = |zone: &str, bind: &str, rcode: &str| {
        format!("{zone}:{} {{\n {bind}\n template IN A . {{\n  rcode {rcode}\n }}\n}}\n", dns.number())
    };
    let everywhere = block(".", "", "NXDOMAIN");
    let shared = everywhere.clone() + &block("test", "bind 127.0.0.1", "NOERROR");
    let mut daemon = Daemon::serving(&everywhere);
    let load = Load::start(clients(&dns));
    let rcode = |id: u8, host: &str| {
        let socket = UdpSocket::bind((host, 0)).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        socket.send_to(&query(id), (host, dns.number())).expect("sent");
        let mut reply = [0; 512];
        let (length, from) = socket.recv_from(&mut reply).expect("a reply");
        assert_eq!((&reply[..2], from), (&[0, id][..], SocketAddr::new(host.parse().unwrap(), dns.number())));
        reply[..length][3] & 15
    };
    let all = |host: &str, expected: u8| (0..100).for_each(|id| assert_eq!(rcode(id, host), expected, "{host}"));
    all("127.0.0.1", 3);
    for (round, (corefile, expected)) in (1..).zip([(&shared, 0), (&everywhere, 3), (&shared, 0)]) {
        load.wait_for(300);
        daemon.reload(corefile, round);
        all("127.0.0.1", expected);
        // Every other address stays where it was.
        all("127.0.0.7", 3);
    }
    assert_all_answered(&Tally { crossed: 0, ..load.finish() });
}

#[test]
fn no_broken_file_changes_anything() {
    let (dns, metrics) = (Port::free(), Port::free());
    let good = format!(
        ".:{} {{\n template IN A . {{\n  rcode NXDOMAIN\n }}\n prometheus 127.0.0.1:{}\n}}\n",
        dns.number(),
        metrics.number()
    );
    let mut daemon = Daemon::serving(&good);
    let load = Load::start(Plan { udp: 8, tcp: 2, fresh: 2, ..clients(&dns) });
    let path = daemon.folder.path().join("Corefile");
    let binary: Vec<u8> = [b"\x7fELF\x02\x01\x01".to_vec(), vec![0; 5_000]].concat();
    let cases: [(&str, Option<Vec<u8>>, &str); 8] = [
        ("removed", None, "open Corefile: no such file or directory"),
        ("empty", Some(Vec::new()), "Corefile:1 - no server block is in it, at least one is expected"),
        ("only a comment", Some(b"# soon\n".to_vec()), "Corefile:1 - no server block is in it"),
        ("binary", Some(binary), "Corefile:1 - an octet 0 is in it: a text is expected"),
        ("half-written", Some(good.as_bytes()[..good.len() - 3].to_vec()), "Corefile:5 - "),
        ("of itself", Some(b"import Corefile\n".to_vec()), "maximum file import depth (10000) exceeded"),
        ("huge", Some(vec![b'x'; 100_000_000]), "too many octets"),
        (
            "misspelt",
            Some(good.replace("template", "tempalte").into_bytes()),
            "Corefile:2 - Error during parsing: Unknown directive 'tempalte'",
        ),
    ];
    let number = cases.len();
    for (failed, (what, text, words)) in (1..).zip(cases) {
        match text {
            Some(text) => fs::write(&path, text).expect("written"),
            None => fs::remove_file(&path).expect("removed"),
        }
        daemon.signal(Signal::USR1);
        let failures = |log: &str| log.matches("[ERROR] SIGUSR1: starting with listener file descriptors: ").count();
        while failures(&daemon.log()) < failed {
            daemon.wait_for("Reloading");
            sleep(Duration::from_millis(5));
        }
        let log = daemon.log();
        let last = log.rsplit("[ERROR] SIGUSR1: ").next().unwrap_or_default();
        assert!(last.contains(words), "{what}: {last}");
    }
    assert!(Command::new("mkfifo").arg(daemon.folder.path().join("pipe")).status().expect("it is there").success());
    fs::rename(daemon.folder.path().join("pipe"), &path).expect("moved");
    daemon.signal(Signal::USR1);
    daemon.wait_for("Corefile: it is no regular file, and not read again");
    assert_eq!(metric(&metrics, "coredns_reload_failed_total"), (number + 1) as f64);
    assert_all_answered(&load.finish());
    fs::remove_file(&path).expect("removed");
    fs::write(&path, good).expect("written");
    daemon.signal(Signal::USR1);
    daemon.wait_for("Reloading complete");
}

#[test]
fn what_failed_for_a_time_is_tried_again() {
    let (dns, metrics) = (Port::free(), Port::free());
    let good = format!(
        ".:{} {{\n reload 2s 0s\n template IN A . {{\n  rcode NXDOMAIN\n }}\n prometheus 127.0.0.1:{}\n}}\n",
        dns.number(),
        metrics.number()
    );
    let mut daemon = Daemon::serving(&good);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let more = format!("{good}a.test:{port} {{\n bind 127.0.0.1\n whoami\n}}\n");
    fs::write(daemon.folder.path().join("Corefile"), more).expect("written");
    daemon.wait_for(
        "[ERROR] plugin/reload: Corefile changed but reload failed: starting with listener file descriptors: Listen: ",
    );
    assert_eq!(metric(&metrics, "coredns_reload_failed_total"), 1.0);
    drop(taken);
    daemon.wait_for("Reloading complete");
}

#[test]
fn certificates_count_like_the_corefile() {
    let certificate = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).expect("made").cert.pem();
    let ca = tempfile::tempdir().expect("a folder");
    let path = ca.path().join("ca.pem");
    fs::write(&path, certificate("one")).expect("written");
    let dns = Port::free();
    let mut daemon = Daemon::serving(&format!(
        ".:{} {{\n reload 2s 0s\n forward . tls://127.0.0.1:1 {{\n  tls {}\n }}\n}}\n",
        dns.number(),
        path.display()
    ));
    fs::write(&path, "half").expect("written");
    daemon.wait_for("could not read root certs");
    fs::write(&path, certificate("two")).expect("written");
    daemon.wait_for("Reloading complete");
}

#[test]
fn a_config_map_is_exchanged_below_its_links() {
    let (dns, metrics) = (Port::free(), Port::free());
    let corefile = |rcode: &str| {
        format!(
            ".:{} {{\n reload 2s 0s\n template IN A . {{\n  rcode {rcode}\n }}\n prometheus 127.0.0.1:{}\n}}\n",
            dns.number(),
            metrics.number()
        )
    };
    let mut daemon = Daemon::serving(&corefile("NXDOMAIN"));
    let folder = daemon.folder.path().to_owned();
    let publish = |version: &str, text: String| {
        fs::create_dir(folder.join(version)).expect("made");
        fs::write(folder.join(version).join("Corefile"), text).expect("written");
        symlink(version, folder.join("..data_tmp")).expect("made");
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("moved");
    };
    publish("..one", corefile("NXDOMAIN"));
    symlink("..data/Corefile", folder.join("link")).expect("made");
    fs::rename(folder.join("link"), folder.join("Corefile")).expect("moved");
    publish("..two", corefile("NOERROR"));
    daemon.wait_for("Reloading complete");
    daemon.wait_for("Running configuration SHA512");
    let log = daemon.log();
    let running = log.rsplit("SHA512 = ").next().and_then(|rest| rest.lines().next()).expect("a hash").to_owned();
    let shown = page(metrics.number(), "/metrics");
    let info: Vec<_> = shown.lines().filter(|line| line.starts_with("coredns_reload_version_info")).collect();
    assert_eq!(info, [format!("coredns_reload_version_info{{hash=\"sha512\",value=\"{running}\"}} 1")]);
    assert_eq!(
        testkit::ask(([127, 0, 0, 1], dns.number()).into(), &query(1), Duration::from_secs(20)).expect("a reply")[3]
            & 15,
        0
    );
}

#[test]
fn a_cluster_that_is_known_is_not_given_up_for_one_that_is_not() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let service =
        json!({"kind": "Service", "metadata": {"namespace": "d", "name": "s"}, "spec": {"clusterIP": "10.96.0.7"}});
    let api = runtime.block_on(Api::start([json!({"kind": "Namespace", "metadata": {"name": "d"}}), service]));
    let (api, dns, nobody) = (api.expect("started"), Port::free(), Port::free());
    let corefile = |url: &str| {
        format!(
            ".:{} {{\n kubernetes cluster.local {{\n  endpoint {url}\n  startup_timeout 300ms\n }}\n}}\n",
            dns.number()
        )
    };
    let mut daemon = Daemon::serving(&corefile(&api.url()));
    fs::write(daemon.folder.path().join("Corefile"), corefile(&format!("http://127.0.0.1:{}", nobody.number())))
        .expect("written");
    daemon.signal(Signal::USR1);
    daemon.wait_for("Restart failed: plugin/kubernetes: unsynced Kubernetes API, in place of one that is ready");
    let reply = testkit::ask(
        ([127, 0, 0, 1], dns.number()).into(),
        &question("s.d.svc.cluster.local."),
        Duration::from_secs(20),
    );
    assert_eq!(reply.expect("a reply")[3] & 15, 0);
}

#[test]
fn a_kubeconfig_that_is_empty_for_a_moment_changes_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let api = runtime.block_on(Api::start([json!({"kind": "Namespace", "metadata": {"name": "d"}})])).expect("started");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kubeconfig");
    fs::write(&path, api.kubeconfig()).expect("written");
    let (dns, metrics) = (Port::free(), Port::free());
    let mut daemon = Daemon::serving(&format!(
        ".:{} {{\n reload 2s 0s\n prometheus 127.0.0.1:{}\n kubernetes cluster.local {{\n  kubeconfig {}\n }}\n}}\n",
        dns.number(),
        metrics.number(),
        path.display()
    ));
    fs::write(&path, "").expect("written");
    daemon.wait_for("[ERROR] plugin/reload: Corefile changed but reload failed");
    assert!(metric(&metrics, "coredns_reload_failed_total") >= 1.0);
    fs::write(&path, api.kubeconfig()).expect("written");
    daemon.wait_for("plugin/reload: The configuration is again the one that runs");
    let reply = testkit::ask(
        ([127, 0, 0, 1], dns.number()).into(),
        &question("no.d.svc.cluster.local."),
        Duration::from_secs(20),
    );
    assert_eq!(reply.expect("a reply")[3] & 15, 3);
}
