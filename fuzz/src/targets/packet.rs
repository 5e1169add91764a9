//! A client's message: admission, routing, plugins, sealing.

use api::{Reply, Transport};
use poddns::inprocess::InProcess;
use poddns::plugins::standard;

/// Every plugin that answers from memory.
const COREFILE: &str = r#"
.:53 {
    errors
    nsid fuzz
    bufsize 1232
    local
    any
    chaos v1 somebody
    loadbalance
    cache 30
    minimal
    template IN TXT t.example {
        match ^(?P<a>[a-z]+)[.]t[.]example[.]$
        var labels split(name(), '.')
        expr size() > 12 and group('a') in labels and incidr(client_ip(), '::/0') == false
        answer "{{ .Name }} 60 IN TXT {{ .Group.a }}"
        fallthrough
    }
    hosts /nosuch {
        192.0.2.1 a.example b.example
        2001:db8::1 a.example
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        manifests ../examples/cluster/manifests
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    whoami
}
"#;

/// A server to be asked.
pub struct Server(InProcess);

impl Server {
    /// Starts it.
    ///
    /// # Panics
    /// Its Corefile is refused.
    pub fn start() -> Server {
        Server(InProcess::start(&standard(), COREFILE).expect("a server"))
    }

    /// Asks with `message` over both transports.
    ///
    /// # Panics
    /// A reply is not as it has to be.
    pub fn ask(&mut self, message: &[u8]) {
        for transport in [Transport::Udp, Transport::Tcp] {
            let Some(reply) = self.0.answer(message, transport) else { continue };
            assert_eq!(reply[..2], message[..2], "the client's ID");
            assert_ne!(reply[2] & 0x80, 0, "a reply");
            let limit = if transport == Transport::Udp { 4096 } else { 65_535 };
            assert!(reply.len() <= limit, "{} octets", reply.len());
            if reply[4..6] == [0, 1] {
                Reply::default().adopt(reply).expect("a well-formed message");
            }
        }
    }
}
