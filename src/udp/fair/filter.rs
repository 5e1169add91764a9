//! The socket filter that drops datagrams by their source (classic BPF, `Documentation/networking/filter.rst` of Linux).

use super::shares::Thinned;
use crate::clients::Client;
use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SKF_AD_OFF, SKF_AD_RANDOM, SKF_NET_OFF};
use socket2::SockFilter;

/// Where the source stands in the headers of IPv4 (RFC 791 3.1) and IPv6 (RFC 8200 3).
const SOURCE_V4: u32 = SKF_NET_OFF.cast_unsigned() + 12;
const SOURCE_V6: u32 = SKF_NET_OFF.cast_unsigned() + 8;
/// A random number, another one each time.
const RANDOM: u32 = (SKF_AD_OFF + SKF_AD_RANDOM).cast_unsigned();
/// What is said of a datagram: how many octets of it are let through.
const DROP: u32 = 0;
const PASS: u32 = u32::MAX;

/// Lets through the part of each of these sources that is given there, and everything of all others.
pub fn program(thinned: &[Thinned]) -> Vec<SockFilter> {
    let mut program = Vec::new();
    for Thinned { source, part } in thinned {
        match *source {
            Client::V4(address) => program.extend([load(SOURCE_V4), unless(BPF_JEQ, address, 4)]),
            Client::V6(network) => program.extend([
                load(SOURCE_V6),
                unless(BPF_JEQ, (network >> 32) as u32, 6),
                load(SOURCE_V6 + 4),
                unless(BPF_JEQ, network as u32, 4),
            ]),
        }
        let limit = (part.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
        program.extend([load(RANDOM), unless(BPF_JGE, limit, 1), say(DROP), say(PASS)]);
    }
    program.push(say(PASS));
    program
}

/// Loads a word.
fn load(place: u32) -> SockFilter {
    SockFilter::new((BPF_LD | BPF_W | BPF_ABS) as u16, 0, 0, place)
}

/// Leaves out the next `over` instructions unless what was loaded compares so with `value`.
fn unless(comparison: u32, value: u32, over: u8) -> SockFilter {
    SockFilter::new((BPF_JMP | comparison | BPF_K) as u16, 0, over, value)
}

fn say(octets: u32) -> SockFilter {
    SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::batch;
    use socket2::SockRef;
    use std::net::{IpAddr, UdpSocket};
    use std::os::fd::AsFd;

    /// How many of 1,000 datagrams from `from` arrive at `to`.
    fn arrive(from: &str, to: &UdpSocket) -> usize {
        let client = UdpSocket::bind(from).expect("an address of this machine");
        let mut arrived = 0;
        for _ in 0..1_000 {
            client.send_to(b"x", to.local_addr().expect("bound")).expect("sent");
            arrived += usize::from(to.recv(&mut [0]).is_ok());
        }
        arrived
    }

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).expect("an address of this machine");
        socket.set_nonblocking(true).expect("a socket");
        socket
    }

    #[test]
    fn a_source_is_thinned_out_and_the_others_are_not() {
        let server = socket("127.0.0.1:0");
        let source = |ip: &str| Client::from(ip.parse::<IpAddr>().expect("an address"));
        let thinned =
            [Thinned { source: source("127.0.0.3"), part: 0.0 }, Thinned { source: source("127.0.0.2"), part: 0.25 }];
        SockRef::from(&server).attach_filter(&program(&thinned)).expect("a filter");
        let (none, some, all) =
            (arrive("127.0.0.3:0", &server), arrive("127.0.0.2:0", &server), arrive("127.0.0.1:0", &server));
        assert_eq!((none, all), (0, 1_000));
        assert!((150..350).contains(&some), "{some}");
        assert_eq!(batch::dropped(server.as_fd()).expect("counted by the kernel") as usize, 2_000 - some);
        SockRef::from(&server).detach_filter().expect("no filter");
        assert_eq!(arrive("127.0.0.3:0", &server), 1_000);
    }

    #[test]
    fn networks_of_ipv6_are_sources() {
        let Ok(server) = UdpSocket::bind("[::1]:0") else { return }; // a machine without IPv6
        server.set_nonblocking(true).expect("a socket");
        for (network, arrived) in [(0, 0), (1, 1_000), (1 << 32, 1_000)] {
            let thinned = [Thinned { source: Client::V6(network), part: 0.0 }];
            SockRef::from(&server).attach_filter(&program(&thinned)).expect("a filter");
            assert_eq!(arrive("[::1]:0", &server), arrived);
        }
    }
}
