//! A server as a process, and questions to it.

use crate::memory::megabytes;
use crate::objects;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::Port;
use testkit::dns::Message;

/// A server that follows the API server; it ends with its owner.
pub struct Server {
    child: Child,
    port: Port,
    metrics: Port,
    begin: Instant,
    _folder: TempDir,
}

impl Server {
    /// Starts a binary that takes CoreDNS's flags.
    pub fn start(binary: &Path, kubeconfig: &str, pods: bool) -> Server {
        let (folder, port, metrics) = (tempfile::tempdir().expect("a folder"), Port::free(), Port::free());
        let place = folder.path().join("kubeconfig");
        fs::write(&place, kubeconfig).expect("written");
        let pods = if pods { "verified" } else { "insecure" };
        let corefile = format!(
            ".:{} {{\n bind 127.0.0.1\n errors\n prometheus 127.0.0.1:{}\n kubernetes cluster.local in-addr.arpa ip6.arpa {{\n  kubeconfig {}\n  pods {pods}\n \
             fallthrough in-addr.arpa ip6.arpa\n  ttl 30\n  startup_timeout 60s\n }}\n cache 30\n loadbalance\n}}\n",
            port.number(),
            metrics.number(),
            place.display(),
        );
        fs::write(folder.path().join("Corefile"), corefile).expect("written");
        let begin = Instant::now();
        let child = Command::new(binary)
            .args(["-conf", "Corefile"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server runs");
        Server { child, port, metrics, begin, _folder: folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port.number()).into()
    }

    /// Waits until a service that is not headless is answered; how long after the start that was.
    pub fn wait_for_service(&mut self, number: usize, services: usize) -> Duration {
        let number = if objects::is_headless(number) { number - 1 } else { number };
        let address: std::net::Ipv4Addr = objects::cluster_address(number).parse().expect("an address");
        self.wait_for(&objects::service_name(number, services), address.octets());
        self.begin.elapsed()
    }

    /// Asks until the answer is this address.
    pub fn wait_for(&self, name: &str, address: [u8; 4]) {
        let client = Client::new(self.address());
        let begin = Instant::now();
        while client.ask(name) != Some(address) {
            assert!(begin.elapsed() < Duration::from_secs(120), "{name} is not answered");
        }
    }

    /// The lines of the metrics page that begin with `name`.
    pub fn metrics(&self, name: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics.number())).expect("a page");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("a request");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("a page");
        page.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    /// Resident memory, in MB.
    pub fn resident(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most resident memory since the start, or since it was forgotten, in MB.
    pub fn peak(&self) -> f64 {
        self.status("VmHWM:")
    }

    /// Begins to look for the peak anew.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("a process of ours");
    }

    fn status(&self, field: &str) -> f64 {
        megabytes(self.child.id(), field).expect("it runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks for addresses, one question at a time.
pub struct Client(UdpSocket);

impl Client {
    /// One with a port of its own.
    pub fn new(server: SocketAddr) -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(server).expect("an address");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
        Client(socket)
    }

    /// The address of a name, if it has just one.
    pub fn ask(&self, name: &str) -> Option<[u8; 4]> {
        let mut reply = [0; 512];
        if self.0.send(&question(name)).is_err() {
            std::thread::sleep(Duration::from_millis(1));
            return None;
        }
        match self.0.recv(&mut reply) {
            Ok(length) if reply[6..8] == [0, 1] => reply[..length].last_chunk().copied(),
            Ok(_) => None,
            Err(_) => {
                std::thread::sleep(Duration::from_millis(1));
                None
            }
        }
    }
}

/// A question for the IPv4 addresses of a name, without EDNS.
pub fn question(name: &str) -> Vec<u8> {
    Message::query(name, 1).to_wire()
}
