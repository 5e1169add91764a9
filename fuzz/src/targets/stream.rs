//! What comes over a connection: messages behind their lengths, in whichever pieces.

use api::Transport;
use poddns::inprocess::InProcess;
use poddns::plugins::standard;

/// Plugins that always say the same.
const COREFILE: &str = "
.:53 {
    any
    chaos v1 somebody
    hosts /nosuch {
        192.0.2.1 a.example b.example
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests ../examples/cluster/manifests
        fallthrough in-addr.arpa ip6.arpa
    }
    whoami
}
";

/// A server to be talked to.
pub struct Server(InProcess);

impl Server {
    /// Starts it.
    ///
    /// # Panics
    /// Its Corefile is refused.
    pub fn start() -> Server {
        Server(InProcess::start(&standard(), COREFILE).expect("a server"))
    }

    /// Says `input` but its first octet, which tells in how small pieces.
    ///
    /// # Panics
    /// What comes back is not what the messages get one by one.
    pub fn talk(&mut self, input: &[u8]) {
        let Some((pieces, input)) = input.split_first() else { return };
        let replies = self.0.converse(input, 1 + usize::from(*pieces));
        let mut expected: Vec<Vec<u8>> = Vec::new();
        for message in messages(input).0 {
            expected.extend(self.0.answer(message, Transport::Tcp).map(<[u8]>::to_vec));
        }
        let (mut replies, rest) = messages(&replies);
        assert_eq!(rest, b"", "replies are whole");
        // A query that has to wait is answered when it is ready.
        replies.sort_unstable();
        expected.sort_unstable();
        assert_eq!(replies, expected);
    }
}

/// The messages behind their lengths, and what is left.
fn messages(mut octets: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut messages = Vec::new();
    while let Some((length, rest)) = octets.split_first_chunk::<2>()
        && let Some((message, rest)) = rest.split_at_checked(u16::from_be_bytes(*length).into())
    {
        messages.push(message);
        octets = rest;
    }
    (messages, octets)
}
