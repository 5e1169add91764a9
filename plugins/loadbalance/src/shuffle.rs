//! A random order of addresses and mail exchangers.

use crate::order::{Group, regroup};
use api::Reply;

/// Puts aliases first in each section, then other records as they are, then addresses and mail exchangers, each shuffled.
pub fn shuffle(reply: &mut Reply) {
    if reply.records().len() < 2 {
        return;
    }
    regroup(
        reply,
        |_| true,
        |_, group, places| {
            if matches!(group, Group::Address | Group::Exchanger) {
                fastrand::shuffle(places);
            }
        },
    );
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
