//! More queries than can be answered.

use super::server::{Daemon, PATIENCE, page, query};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use testkit::Port;

/// A client with an address of its own.
fn client(last: u8, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 0)).expect("an address of this machine");
    socket.connect(server).expect("an address");
    socket
}

/// Whether at least so many of 200 queries, sent one every few milliseconds, are answered: on a busy machine maybe late.
fn answered(socket: &UdpSocket, at_least: usize) -> bool {
    socket.set_nonblocking(true).expect("set");
    let (mut answers, begin) = (0, Instant::now());
    let mut take = || {
        while socket.recv(&mut [0; 512]).is_ok() {
            answers += 1;
        }
        answers >= at_least
    };
    for id in 0..200 {
        socket.send(&query(id)).expect("sent");
        thread::sleep(Duration::from_millis(5));
        take();
    }
    while !take() && begin.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    take()
}

#[test]
fn one_client_does_not_starve_the_others() {
    let (dns, http) = (Port::free(), Port::free());
    let (n, h) = (dns.number(), http.number());
    // Slow enough to have more than it can answer; one socket, so that all clients meet there.
    let slow = "template IN A {\nmatch ^([a-y]*[.])*(z+)[.]$\nfallthrough\n}\n".repeat(30);
    let _daemon = Daemon::serving(&format!(
        ".:{n} {{\nbind 127.0.0.1\nmultisocket 1\nprometheus localhost:{h}\n{slow}whoami\n}}\n"
    ));
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, n));
    let shed = |reason: &str| {
        let begin = format!("coredns_shed_dropped_total{{reason=\"{reason}\",");
        page(h, "/metrics").lines().any(|line| line.starts_with(&begin))
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let socket = client(2, server);
            while !over.load(Relaxed) {
                // A reply that has come back to a closed port, say: all the same.
                let _ = socket.send(&query(1));
            }
        });
        let begin = Instant::now();
        while !shed("share") && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
        }
        let other = client(3, server);
        let answers = answered(&other, 150);
        over.store(true, Relaxed);
        assert!(shed("overflow") && shed("share"), "what was dropped is counted");
        assert!(answers, "few of the other client's queries are answered");
    });
    let after = client(2, server);
    thread::sleep(Duration::from_secs(1));
    assert!(answered(&after, 180), "who sent too much is answered once he does not");
}
