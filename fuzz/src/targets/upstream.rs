//! An upstream's reply: taking it over, and all that is done with a reply afterwards.

use api::query::Question;
use api::reply::{Again, Stored};
use api::wire::{self, HEADER, flag};
use api::{Class, NameRef, Owner, Record, RecordType, Reply, Section};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Takes over `message`, if that can be done, and treats it as plugins and server do.
pub fn take_over(message: &[u8]) {
    let mut reply = Reply::default();
    if reply.adopt(message).is_err() {
        return;
    }
    read(&reply);
    let _kind = reply.kind(|| Duration::from_secs(1_700_000_000));
    turn_around(&mut reply);
    reply.map_ttls(|_, ttl| ttl.min(30));
    let octets = reply.store(<[u8]>::to_vec).expect("there is a message");
    let stored = Stored::of(&octets);
    let question = question(message);
    if stored.answers(&question) {
        let again = Again { id: 7, flags: (flag::AA, flag::AA), ttl: Some(30) };
        reply.load(stored, again, &question);
        read(&reply);
    }
    reply.retain(|r| r.section() != Section::Additional);
    reply.push_address(Section::Additional, Owner::Question, 5, Ipv4Addr::LOCALHOST.into());
    for limit in [4096, 512, 100, 12] {
        reply.shrink(limit.max(12));
        read(&reply);
    }
    let octets = reply.bytes().to_vec();
    Reply::default().adopt(&octets).expect("what we write can be read");
}

/// Turns the order of each section around. Each record has to be what it was.
fn turn_around(reply: &mut Reply) {
    let shown = |reply: &Reply| -> Vec<_> { reply.records().map(|r| (r.section(), whole(&r))).collect() };
    let before = shown(reply);
    let mut order: Vec<u16> = (0..before.len() as u16).rev().collect();
    order.sort_by_key(|&place| before[usize::from(place)].0);
    reply.reorder(&order);
    let after = shown(reply);
    assert!(after.iter().zip(&order).all(|(r, &place)| *r == before[usize::from(place)]), "{before:?} {after:?}");
}

/// Owner, type, class, TTL and data, without compression.
fn whole(r: &Record<'_>) -> (Vec<u8>, RecordType, Class, u32, Vec<u8>) {
    let (mut owner, mut data) = (Vec::new(), Vec::new());
    r.read_owner(&mut owner);
    r.read_data(&mut data);
    (owner, r.rtype(), r.class(), r.ttl(), data)
}

/// The question of `message` in other letters, if it can be read.
fn question(message: &[u8]) -> Question {
    let mut question = Question::default();
    if let Some(name) = message.get(HEADER..).and_then(NameRef::read) {
        let end = HEADER + name.as_bytes().len();
        let field = |at| wire::u16_at(message, at).unwrap_or(0);
        (question.rtype, question.class) = (RecordType(field(end)), Class(field(end + 2)));
        let upper = name.as_bytes().to_ascii_uppercase();
        question.set_name(NameRef::read(&upper).unwrap_or(NameRef::ROOT));
    }
    question
}

fn read(reply: &Reply) {
    let (mut owner, mut data) = (Vec::new(), Vec::new());
    for r in reply.records() {
        owner.clear();
        data.clear();
        r.read_owner(&mut owner);
        r.read_data(&mut data);
        assert!(!owner.is_empty());
    }
}
