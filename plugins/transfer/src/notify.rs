//! Tells other servers that a zone has changed (RFC 1996): one datagram after the other until each has said that it knows.

use crate::{Rule, metrics, rule_of};
use api::services::Announce;
use api::task::Stop;
use api::wire::{self, HEADER, flag};
use api::{Class, Name, NameRef, Opcode, Rcode, RecordType, Result, os_words};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How often a server is told.
const TRIES: u32 = 3;
/// How long it has to say that it knows.
const PATIENCE: Duration = Duration::from_secs(2);
/// Zones that may wait to be announced.
const QUEUE: usize = 1_000;

/// Where plugins say that zones have changed.
pub struct Announcer(mpsc::Sender<Name>);

impl Announce for Announcer {
    fn changed(&self, zone: NameRef<'_>) {
        if self.0.try_send(zone.to_lower()).is_err() {
            tracing::warn!("nobody is told that zone {zone} has changed: there are too many such zones");
        }
    }
}

/// What plugins call, and what it hands to [`announce`].
pub fn channel() -> (Announcer, mpsc::Receiver<Name>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Announcer(sender), receiver)
}

/// Tells those whom the rules name of each zone that comes in.
pub async fn announce(rules: Arc<[Rule]>, mut zones: mpsc::Receiver<Name>, mut stop: Stop) -> Result {
    while let Some(Some(zone)) = stop.or(zones.recv()).await {
        if let Some(rule) = rule_of(&rules, zone.as_ref()) {
            let told = tell_all(rule, &zone);
            if stop.or(told).await.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Tells all servers of a rule, those of both address families at the same time.
async fn tell_all(rule: &Rule, zone: &Name) {
    let targets = |v4: bool| -> Vec<SocketAddr> {
        rule.to.iter().filter_map(|(_, target)| *target).filter(|target| target.is_ipv4() == v4).collect()
    };
    let source = |wildcard: IpAddr| {
        let given = rule.source.filter(|source| source.is_ipv4() == wildcard.is_ipv4());
        SocketAddr::from((given.unwrap_or(wildcard), 0))
    };
    tokio::join!(
        tell(zone, targets(true), source(Ipv4Addr::UNSPECIFIED.into())),
        tell(zone, targets(false), source(Ipv6Addr::UNSPECIFIED.into())),
    );
}

/// Tells `targets`, from `source`, and says who does not want to know.
async fn tell(zone: &Name, targets: Vec<SocketAddr>, source: SocketAddr) {
    if targets.is_empty() {
        return;
    }
    let mut pending: Vec<(SocketAddr, String)> = targets.into_iter().map(|t| (t, "no reply".to_owned())).collect();
    let all = pending.len();
    if let Err(e) = exchange(zone, &mut pending, source).await {
        pending.iter_mut().for_each(|(_, why)| *why = os_words(&e));
    }
    metrics::ACCEPTED.add((all - pending.len()) as u64);
    metrics::FAILED.add(pending.len() as u64);
    for (target, why) in pending {
        tracing::error!("notify for zone \"{zone}\" was not accepted by \"{target}\": {why}");
    }
}

/// Tells those that are `pending`, and takes those out that know; the others with the reason why they do not.
async fn exchange(zone: &Name, pending: &mut Vec<(SocketAddr, String)>, source: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(source).await?;
    for _ in 0..TRIES {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|e| io::Error::other(format!("no random numbers: {e}")))?;
        let message = notification(id, zone);
        for (target, why) in &mut *pending {
            if let Err(e) = socket.send_to(&message, *target).await {
                *why = os_words(&e);
            }
        }
        // Who says nothing in time is told again.
        let _ = timeout(PATIENCE, listen(&socket, &message, pending)).await;
        if pending.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Waits until all that are `pending` have replied to `message`.
async fn listen(socket: &UdpSocket, message: &[u8], pending: &mut Vec<(SocketAddr, String)>) {
    let mut silent: Vec<SocketAddr> = pending.iter().map(|(target, _)| *target).collect();
    let mut reply = [0; 512];
    while !silent.is_empty() {
        // An error is that of an earlier datagram which nobody wanted.
        let Ok((length, from)) = socket.recv_from(&mut reply).await else { continue };
        let Some(rcode) = verdict(&reply[..length], message) else { continue };
        silent.retain(|target| *target != from);
        match rcode {
            Rcode::NOERROR => pending.retain(|(target, _)| *target != from),
            _ => pending.iter_mut().filter(|p| p.0 == from).for_each(|p| p.1 = format!("rcode was \"{rcode}\"")),
        }
    }
}

/// The message (RFC 1996 3): AA set, the zone's SOA as question.
fn notification(id: [u8; 2], zone: &Name) -> Vec<u8> {
    let flags = u16::from(Opcode::NOTIFY.0) << 11 | flag::AA;
    let mut message = id.to_vec();
    let numbers = |numbers: &[u16]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    message.extend(numbers(&[flags, 1, 0, 0, 0]));
    message.extend_from_slice(zone.as_bytes());
    message.extend(numbers(&[RecordType::SOA.0, Class::IN.0]));
    message
}

/// What a reply to `sent` says; `None` where it is none.
fn verdict(reply: &[u8], sent: &[u8]) -> Option<Rcode> {
    let flags = wire::u16_at(reply, 2).ok()?;
    let answers = reply.get(..2) == sent.get(..2) && flags & flag::QR != 0;
    let opcode = Opcode(((flags & flag::OPCODE) >> 11) as u8);
    // Some servers leave the question out of an error.
    let asked = wire::u16_at(reply, 4).ok()? == 0 || reply.get(HEADER..sent.len()) == sent.get(HEADER..);
    (answers && opcode == Opcode::NOTIFY && asked).then_some(Rcode(flags & flag::RCODE))
}
