//! A random order of addresses and mail exchangers.

use crate::order::{Group, regroup};
use api::Reply;
use fastrand::Rng;

/// Puts aliases first in each section, then other records as they are, then addresses and mail exchangers, each shuffled.
pub fn shuffle(reply: &mut Reply) {
    if reply.records().len() < 2 {
        return;
    }
    let mut random = Rng::new();
    if !shuffle_in_place(reply, &mut random) {
        let arrange = |_: &Reply, group, places: &mut [u16]| {
            if is_shuffled(group) {
                random.shuffle(places);
            }
        };
        regroup(reply, |_| true, arrange);
    }
}

/// The same where all stand in their groups, and those that are shuffled are alike, as addresses mostly are; `false` where not.
fn shuffle_in_place(reply: &mut Reply, random: &mut Rng) -> bool {
    let (mut start, mut before) = (0, None);
    while let Some(first) = reply.record(start) {
        let (kind, group) = ((first.section(), first.rtype()), Group::of(first.rtype()));
        let key = Some((first.section(), group));
        if before > key || (before == key && is_shuffled(group)) {
            return false;
        }
        before = key;
        let end = start + reply.records().skip(start).take_while(|r| (r.section(), r.rtype()) == kind).count();
        if is_shuffled(group) && end - start > 1 {
            if let Some(records) = reply.alike::<V4>(start..end) {
                random.shuffle(records);
            } else if let Some(records) = reply.alike::<V6>(start..end) {
                random.shuffle(records);
            } else {
                return false;
            }
        }
        start = end;
    }
    true
}

/// Octets of an address record whose owner is a pointer.
const V4: usize = 16;
const V6: usize = 28;

fn is_shuffled(group: Group) -> bool {
    matches!(group, Group::Address | Group::Exchanger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{query, record};
    use api::{NameRef, Owner, Query, RecordType, Section};
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    fn shown(q: &Query) -> Vec<String> {
        q.reply.records().map(|r| record(&r)).collect()
    }

    #[test]
    fn every_order_comes() {
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let mut q = query("a.example A");
            q.respond();
            (1..4).for_each(|n| {
                let address = Ipv4Addr::new(10, 0, 0, n).into();
                q.reply.push_address(Section::Answer, Owner::Question, 5, address);
            });
            shuffle(&mut q.reply);
            seen.insert(shown(&q));
        }
        assert_eq!(seen.len(), 6);
    }

    #[test]
    fn aliases_go_first_and_sections_stay() {
        let name = NameRef::read(b"\x01b\0").unwrap();
        for _ in 0..20 {
            let mut q = query("a.example A");
            let reply = q.respond();
            (1..3).for_each(|n| {
                let address = Ipv4Addr::new(10, 0, 0, n).into();
                reply.push_address(Section::Answer, Owner::Name(name), 5, address);
            });
            reply.push(Section::Answer, Owner::Question, RecordType::CNAME, 5, |d| d.name(name));
            reply.push_address(Section::Additional, Owner::Name(name), 5, Ipv4Addr::LOCALHOST.into());
            shuffle(reply);
            let lines = shown(&q);
            assert_eq!(lines[0], "a.example. 5 IN CNAME b.");
            assert_eq!(lines[3], "b. 5 IN A 127.0.0.1");
            assert!(lines[1].starts_with("b. 5 IN A 10.0.0.") && lines[1] != lines[2], "{lines:?}");
        }
    }
}
