//! Replies that the system did not take at once, in blocks with the directive `shed`: the newest goes first, the oldest is given
//! up where there are too many.

use super::batch::{self, Ready};
use super::datagrams::Datagrams;
use crate::waiting::Busy;
use crate::worker::Current;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Replies that are kept (CoreDNS's value, `plugin/shed/setup.go`).
const DEPTH: usize = 1024;

/// The replies that wait for one socket, and the task that sends them while there are some.
pub struct Backlog {
    socket: Datagrams,
    current: Current,
    late: RefCell<VecDeque<Reply>>,
    sending: Busy,
}

/// A reply with its way; see [`Ready`].
struct Reply {
    octets: Box<[u8]>,
    to: SocketAddr,
    local: Option<IpAddr>,
}

impl From<Ready<'_>> for Reply {
    fn from(Ready { octets, to, local }: Ready<'_>) -> Reply {
        Reply { octets: octets.into(), to, local }
    }
}

impl Backlog {
    /// Nothing waits.
    pub fn new(socket: Datagrams, current: Current) -> Rc<Backlog> {
        Rc::new(Backlog { socket, current, late: RefCell::default(), sending: Busy::default() })
    }

    /// Whether the next one costs another its place.
    pub fn is_full(&self) -> bool {
        self.late.borrow().len() >= DEPTH
    }

    /// Keeps a reply until the socket takes it.
    #[cold]
    pub fn push(self: &Rc<Self>, reply: Ready<'_>) {
        if keep(&mut self.late.borrow_mut(), reply.into()).is_some() {
            self.dropped();
        }
        if self.sending.number() == 0 {
            self.sending.begin();
            tokio::task::spawn_local(self.clone().send());
        }
    }

    /// Waits until nothing waits any more.
    pub async fn ended(&self) {
        self.sending.ended().await;
    }

    /// Sends what waits, the newest first.
    async fn send(self: Rc<Self>) {
        self.socket.room().await;
        while let Some(reply) = self.newest() {
            let ready = Ready { octets: &reply.octets, to: reply.to, local: reply.local };
            match batch::send_one(self.socket.as_fd(), ready) {
                Ok(()) => (),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.put_back(reply);
                    self.socket.room().await;
                }
                Err(_) => self.dropped(),
            }
        }
        self.sending.end();
    }

    fn newest(&self) -> Option<Reply> {
        self.late.borrow_mut().pop_back()
    }

    /// Keeps a reply that the socket did not take after all.
    fn put_back(&self, reply: Reply) {
        if keep(&mut self.late.borrow_mut(), reply).is_some() {
            self.dropped();
        }
    }

    fn dropped(&self) {
        self.current.get().router.shed("response", 1);
    }
}

/// Adds the newest reply; returns the oldest one where there are too many.
fn keep(late: &mut VecDeque<Reply>, reply: Reply) -> Option<Reply> {
    let oldest = if late.len() >= DEPTH { late.pop_front() } else { None };
    late.push_back(reply);
    oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_goes_first_and_the_oldest_makes_room() {
        let to = SocketAddr::from(([127, 0, 0, 1], 53));
        let reply = |n: usize| Reply { octets: n.to_be_bytes().into(), to, local: None };
        let mut late = VecDeque::new();
        assert!((0..DEPTH).all(|n| keep(&mut late, reply(n)).is_none()));
        let given_up = keep(&mut late, reply(DEPTH)).expect("one too many");
        assert_eq!(*given_up.octets, 0_usize.to_be_bytes());
        assert_eq!(late.pop_back().map(|newest| newest.octets), Some(DEPTH.to_be_bytes().into()));
        assert_eq!(late.len(), DEPTH - 1);
    }
}
