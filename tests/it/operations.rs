//! What an operator does to a server that is busy: reloads, stops, a successor on the same port. Clients notice nothing.
//!
//! `benches/operations` has the long versions, beside CoreDNS.

use crate::server::{Daemon, query};
use rustix::process::Signal;
use std::time::Duration;
use testkit::{Load, Plan, Port, Tally};

/// Clients that keep a server of this machine busy.
fn clients(port: &Port) -> Plan {
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
fn assert_all_answered(tally: &Tally) {
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
