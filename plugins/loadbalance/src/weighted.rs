//! The policy `weighted`: one address goes first, each as often as its weight says.

use crate::order::{Group, address, regroup};
use crate::weights::Weights;
use api::{NameRef, Record, Reply, Section};
use std::cell::RefCell;

/// Puts one address of the answer and one of the additional section in front of the others of its section, behind aliases and
/// other records. Sections without addresses stay as they are.
pub fn choose_first(reply: &mut Reply, weights: &Weights) {
    let mut with_addresses = [false; 3];
    for r in reply.records().filter(|r| Group::of(r.rtype()) == Group::Address) {
        with_addresses[r.section() as usize] = r.section() != Section::Authority;
    }
    regroup(
        reply,
        |section| with_addresses[section as usize],
        |reply, group, places| {
            if group == Group::Address {
                let first = choose(reply, places, weights);
                places.swap(0, first);
            }
        },
    );
}

/// Which of the records at `places` goes first: each with the chance of its weight in the sum of all.
fn choose(reply: &Reply, places: &[u16], weights: &Weights) -> usize {
    let (mut chosen, mut sum) = (0, 0);
    for (i, &place) in places.iter().enumerate() {
        let weight = reply.record(place.into()).map_or(0, |r| weight(&r, weights));
        sum += weight;
        // Takes the place of an earlier one so often that it keeps just its share.
        if fastrand::u32(..sum.max(1)) < weight {
            chosen = i;
        }
    }
    chosen
}

thread_local! {
    /// An owner name.
    static OWNER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The weight of an address record; 1 where the file says nothing.
fn weight(r: &Record<'_>, weights: &Weights) -> u32 {
    OWNER.with_borrow_mut(|owner| {
        owner.clear();
        r.read_owner(owner);
        // Octets of length are below 64, no letters.
        owner.make_ascii_lowercase();
        let of = |name: NameRef<'_>| weights.get(name, address(r.raw_data())?);
        NameRef::read(owner).and_then(of).map_or(1, u32::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{query, record};
    use api::{Name, Owner, Query, RecordType};
    use std::net::Ipv4Addr;

    fn weights(text: &str) -> Weights {
        Weights::parse(text.as_bytes(), "w").unwrap()
    }

    fn answer(addresses: &[[u8; 4]]) -> Query {
        let mut q = query("A.Example A");
        q.respond();
        for a in addresses {
            q.reply.push_address(Section::Answer, Owner::Question, 5, Ipv4Addr::from(*a).into());
        }
        q
    }

    fn shown(q: &Query) -> Vec<String> {
        q.reply.records().map(|r| record(&r).rsplit(' ').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_first_address_comes_by_weight() {
        let weights = weights("a.example\n10.0.0.1 6\n10.0.0.2 3\n");
        let mut first = [0; 4];
        for _ in 0..2000 {
            let mut q = answer(&[[10, 0, 0, 3], [10, 0, 0, 2], [10, 0, 0, 1]]);
            choose_first(&mut q.reply, &weights);
            let octet = q.reply.record(0).unwrap().raw_data()[3];
            first[usize::from(octet)] += 1;
        }
        // 1200, 600 and 200 are to be expected; ten deviations to each side.
        let near = |count: i32, wanted: i32| (count - wanted).abs() < 220;
        assert!(near(first[1], 1200) && near(first[2], 600) && near(first[3], 200), "{first:?}");
        assert!(first[3] > 0);
    }

    #[test]
    fn only_two_addresses_change_places() {
        let weights = weights("a.example\n10.0.0.3 255\n");
        let [a, b, c, d] = [1, 2, 3, 4].map(|n| [10, 0, 0, n]);
        let mut changed = false;
        for _ in 0..20 {
            let mut q = answer(&[a, b, c, d]);
            choose_first(&mut q.reply, &weights);
            changed |= shown(&q) == ["10.0.0.3", "10.0.0.2", "10.0.0.1", "10.0.0.4"];
            let lines = shown(&q);
            let moved = lines.iter().zip(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]).filter(|(a, b)| a != b);
            assert!([0, 2].contains(&moved.count()), "{lines:?}");
        }
        assert!(changed);
    }

    #[test]
    fn sections_without_addresses_stay() {
        let mut q = query("a.example SRV");
        let reply = q.respond();
        let name = Name::from_text("t.example").unwrap();
        reply.push(Section::Answer, Owner::Question, RecordType::MX, 5, |d| {
            d.u16(1);
            d.name(name.as_ref());
        });
        reply.push(Section::Answer, Owner::Question, RecordType::CNAME, 5, |d| d.name(name.as_ref()));
        let glue = Owner::Name(name.as_ref());
        reply.push_address(Section::Additional, glue, 5, Ipv4Addr::LOCALHOST.into());
        reply.push(Section::Additional, glue, RecordType::CNAME, 5, |d| d.name(name.as_ref()));
        choose_first(reply, &Weights::default());
        let types: Vec<_> = q.reply.records().map(|r| r.rtype()).collect();
        assert_eq!(types, [RecordType::MX, RecordType::CNAME, RecordType::CNAME, RecordType::A]);
    }
}
