//! The probes: the server asks itself, and looks out for more than one copy of the question.

use crate::Lookout;
use api::wire::{HEADER, flag};
use api::{Class, Clock, Error, Name, NameRef, RecordType, Result};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

/// How long the server asks itself without getting an answer.
const LIMIT: Duration = Duration::from_secs(30);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause before it asks again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it looks out after an answer: copies may still be under way.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// A name below `zone` that nobody can guess: two numbers of 62 bits.
///
/// # Errors
/// The system has no random numbers.
pub fn name(zone: NameRef<'_>) -> Result<Name, getrandom::Error> {
    let mut labels = Vec::new();
    for _ in 0..2 {
        let mut octets = [0; 8];
        getrandom::fill(&mut octets)?;
        let number = (u64::from_be_bytes(octets) >> 2).to_string();
        labels.push(number.len() as u8);
        labels.extend_from_slice(number.as_bytes());
    }
    // A zone that leaves no room for them has no name that could come back.
    Ok(Name::join(&labels, zone).unwrap_or_else(|| zone.to_name()))
}

impl Lookout {
    /// Asks the server at `address` until there is an answer, and looks out meanwhile and a little longer.
    ///
    /// # Errors
    /// There is a loop; in CoreDNS's words.
    pub(crate) async fn keep(&self, address: SocketAddr, clock: &Clock) -> Result {
        let mut found = self.found.subscribe();
        let caught = tokio::select! {
            biased;
            caught = found.wait_for(Option::is_some) => caught.ok().and_then(|caught| *caught),
            () = self.ask_until_answered(address, clock) => None,
        };
        self.active.store(false, Relaxed);
        caught.map_or(Ok(()), |client| Err(Error::msg(self.words(client, address))))
    }

    async fn ask_until_answered(&self, address: SocketAddr, clock: &Clock) {
        let begun = clock.now();
        let remote = reachable(address);
        while clock.now().saturating_duration_since(begun) < LIMIT {
            if let Ok(Ok(())) = timeout(PATIENCE, self.exchange(remote)).await {
                sleep(AFTERWARDS).await;
                return;
            }
            self.seen.store(0, Relaxed);
            sleep(PAUSE).await;
        }
    }

    /// Sends the probe and waits for any reply to it.
    async fn exchange(&self, remote: SocketAddr) -> io::Result<()> {
        let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(remote).await?;
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        socket.send(&query(self.name(), id)).await?;
        let mut reply = [0; 512];
        while socket.recv(&mut reply).await? < HEADER || reply[..2] != id {}
        Ok(())
    }

    fn words(&self, client: SocketAddr, address: SocketAddr) -> String {
        let port = address.port();
        let server = if address.ip().is_unspecified() { format!(":{port}") } else { address.to_string() };
        let (zone, name) = (&self.zone, self.name());
        format!(
            "Loop ({client} -> {server}) detected for zone \"{zone}\", see https://coredns.io/plugins/loop#troubleshooting. Query: \"HINFO {name}\""
        )
    }
}

/// The address at which a server that listens at `address` can be reached from here. A socket for all addresses is one for
/// both families; it is asked over IPv4, as Go's system calls have it.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        return SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port());
    }
    address
}

fn query(name: NameRef<'_>, id: [u8; 2]) -> Vec<u8> {
    let header = [flag::RD, 1, 0, 0, 0].map(u16::to_be_bytes);
    let question = [RecordType::HINFO.0, Class::IN.0].map(u16::to_be_bytes);
    [&id, header.as_flattened(), name.as_bytes(), question.as_flattened()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookout() -> Lookout {
        let zone = Name::root();
        let name = name(zone.as_ref()).expect("random numbers");
        Lookout::new(zone, name)
    }

    #[test]
    fn names() {
        let text = lookout().name.to_string();
        let numbers: Vec<&str> = text.trim_end_matches('.').split('.').collect();
        assert_eq!(numbers.len(), 2);
        assert!(numbers.iter().all(|n| n.parse::<u64>().is_ok_and(|n| n < 1 << 62)), "{text}");
        assert_ne!(lookout().name, lookout().name);
    }

    #[test]
    fn words_and_addresses() {
        let wildcard: SocketAddr = "[::]:53".parse().expect("an address");
        let bound: SocketAddr = "127.0.0.2:53".parse().expect("an address");
        assert_eq!([reachable(wildcard), reachable(bound)].map(|a| a.to_string()), ["127.0.0.1:53", "127.0.0.2:53"]);
        let lookout = Lookout::new(Name::root(), Name::from_text("1.2").expect("a name"));
        let words = lookout.words(bound, wildcard);
        assert!(words.starts_with("Loop (127.0.0.2:53 -> :53) detected for zone \".\", see "), "{words}");
        assert!(words.ends_with(" Query: \"HINFO 1.2.\""), "{words}");
        assert!(lookout.words(bound, bound).contains("-> 127.0.0.2:53)"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_an_error_and_an_answer_ends_the_look_out() {
        let (lookout, clock) = (lookout(), Clock::manual());
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = server.local_addr().expect("an address");
        let answer = async {
            let mut packet = [0; 512];
            let (length, client) = server.recv_from(&mut packet).await.expect("a probe");
            assert_eq!(packet[HEADER..length], query(lookout.name(), [0; 2])[HEADER..]);
            server.send_to(&packet[..length], client).await.expect("sent");
        };
        let (kept, ()) = tokio::join!(lookout.keep(address, &clock), answer);
        assert!(kept.is_ok() && !lookout.active.load(Relaxed));

        let lookout = Lookout { active: true.into(), ..lookout };
        let copies = async { (0..3).for_each(|_| lookout.see(address)) };
        let (kept, ()) = tokio::join!(lookout.keep(address, &clock), copies);
        assert!(kept.expect_err("a loop").to_string().starts_with("Loop ("));
    }
}
