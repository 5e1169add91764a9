//! Addresses of preferred networks go first.

use crate::order::address;
use api::{Record, RecordType, Reply, Section};
use std::net::IpAddr;

/// A network, as an address and the length of its prefix.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The network of this address with a prefix of so many bits.
    pub fn new(address: IpAddr, length: u8) -> Network {
        match address {
            // An IPv4 network in the form of an IPv6 one (::ffff:0:0/96) is the former.
            IpAddr::V6(v6) if length >= 96 && v6.to_ipv4_mapped().is_some() => {
                Network { address: address.to_canonical(), length: length - 96 }
            }
            address => Network { address, length },
        }
    }

    /// Whether an address is in it.
    fn contains(self, address: IpAddr) -> bool {
        let length = u32::from(self.length);
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= length,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= length,
            _ => false,
        }
    }
}

/// Orders answer and additional section: aliases, addresses by the list of networks, mail exchangers, the rest.
pub fn prefer(reply: &mut Reply, networks: &[Network]) {
    let key = |r: Record<'_>| {
        let place = match r.rtype() {
            _ if r.section() == Section::Authority => (0, 0),
            RecordType::CNAME => (1, 0),
            RecordType::A | RecordType::AAAA => (2, preference(address(r.raw_data()), networks)),
            RecordType::MX => (3, 0),
            _ => (4, 0),
        };
        (r.section(), place)
    };
    let mut order: Vec<u16> = (0..reply.records().len() as u16).collect();
    order.sort_by_key(|&i| reply.record(i.into()).map(key));
    reply.reorder(&order);
}

/// The place of the first network that an address is in.
fn preference(address: Option<IpAddr>, networks: &[Network]) -> usize {
    let place = address.and_then(|a| networks.iter().position(|n| n.contains(a)));
    place.unwrap_or(networks.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Owner;
    use api::test::{query, record};

    #[test]
    fn the_first_network_wins() {
        let network = |text: &str, length| Network::new(text.parse().unwrap(), length);
        let networks = [network("10.1.0.0", 16), network("::ffff:10.0.0.0", 104), network("2001:db8::", 32)];
        let mut q = query("a. A");
        let reply = q.respond();
        for address in ["192.0.2.1", "10.9.9.9", "10.1.2.3", "192.0.2.2"] {
            reply.push_address(Section::Answer, Owner::Question, 5, address.parse().unwrap());
        }
        prefer(reply, &networks);
        let order: Vec<String> = q.reply.records().map(|r| record(&r).rsplit(' ').next().unwrap().to_owned()).collect();
        assert_eq!(order, ["10.1.2.3", "10.9.9.9", "192.0.2.1", "192.0.2.2"]);
    }
}
