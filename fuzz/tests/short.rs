//! A short run of every target: see README.md.

use poddns_fuzz::run;
use poddns_fuzz::targets::{corefile, events, expressions, hostile, packet, stream, upstream};

#[test]
fn packets() {
    let mut server = packet::Server::start();
    run("packet", |message| server.ask(message));
}

#[test]
fn connections() {
    let mut server = stream::Server::start();
    run("stream", |input| server.talk(input));
}

#[test]
fn corefiles() {
    run("corefile", corefile::parse);
}

#[test]
fn upstream_replies() {
    run("upstream", upstream::take_over);
}

#[test]
fn what_clients_get_of_upstream_replies() {
    let mut server = hostile::Server::start();
    run("upstream", |message| server.ask(message));
}

#[test]
fn api_events() {
    run("events", events::apply);
}

#[test]
fn conditions_and_values() {
    run("expressions", expressions::evaluate);
}
