//! What servers in this process are asked about: a cluster as files, and an upstream.

use crate::objects;
use std::net::UdpSocket;
use testkit::dns::Message;

/// Services of the cluster.
pub const SERVICES: usize = 1_000;
/// Endpoints of a service.
pub const ENDPOINTS: usize = 10;

/// A cluster and an upstream.
pub struct Cluster {
    folder: tempfile::TempDir,
    upstream: std::net::SocketAddr,
}

impl Cluster {
    /// A cluster as files, and an upstream that knows all names.
    pub fn new() -> Cluster {
        let folder = tempfile::tempdir().expect("a folder");
        let list =
            serde_json::json!({"kind": "List", "apiVersion": "v1", "items": objects::cluster(SERVICES, ENDPOINTS, 0)});
        std::fs::write(folder.path().join("objects.json"), list.to_string()).expect("a file");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let upstream = socket.local_addr().expect("its address");
        std::thread::spawn(move || serve(&socket));
        Cluster { folder, upstream }
    }

    /// The Corefile that Kubernetes ships, without what opens sockets, and with `more` lines.
    pub fn corefile(&self, more: &str) -> String {
        let (folder, upstream) = (self.folder.path().display(), self.upstream);
        format!(
            ".:53 {{\nerrors\n{more}\nkubernetes cluster.local in-addr.arpa ip6.arpa {{\nmanifests {folder}\npods insecure\n\
             fallthrough in-addr.arpa ip6.arpa\nttl 30\n}}\nprometheus 127.0.0.1:0\nforward . {upstream}\ncache 3600\nloop\nreload\n\
             loadbalance\n}}\n"
        )
    }
}

/// An upstream: one address for every name.
fn serve(socket: &UdpSocket) {
    let mut buffer = [0; 1500];
    while let Ok((n, peer)) = socket.recv_from(&mut buffer) {
        let end = 12 + buffer[12..n].iter().position(|&b| b == 0).expect("a name") + 5;
        let mut reply = buffer[..end].to_vec();
        (reply[2], reply[3]) = (0x81, 0x80);
        reply[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
        reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01");
        let _ = socket.send_to(&reply, peer);
    }
}

/// The name of a service; after the last one comes the first.
pub fn service(n: usize) -> String {
    objects::service_name(n % SERVICES, SERVICES)
}

/// A name of the upstream.
pub fn host(n: usize) -> String {
    format!("host-{n}.example.org")
}

/// The type of addresses.
pub const A: u16 = 1;

/// A question without EDNS.
pub fn question(name: &str, rtype: u16) -> Vec<u8> {
    Message::query(name, rtype).to_wire()
}

/// The same question with EDNS, for replies of up to 1,232 octets.
pub fn with_edns(mut question: Vec<u8>) -> Vec<u8> {
    question[11] = 1;
    question.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    question
}
