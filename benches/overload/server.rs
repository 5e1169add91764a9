//! A server that is measured, as a process.

use crate::cores::Cores;
use crate::memory::megabytes;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::Port;

/// A server; it ends with its owner.
pub struct Server {
    child: Child,
    dns: Port,
    http: Port,
    _folder: TempDir,
}

impl Server {
    /// Starts a binary, and waits until its pages can be read.
    pub fn start(cores: &Cores, binary: &Path) -> Server {
        let (_, start) = Server::prepare(binary);
        let server = start(cores);
        let begin = Instant::now();
        while server.page().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(20), "{} does not start", binary.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// The address that a server will have, and how to start it.
    pub fn prepare(binary: &Path) -> (SocketAddr, impl FnOnce(&Cores) -> Server) {
        let (dns, http, folder) = (Port::free(), Port::free(), tempfile::tempdir().expect("a folder"));
        // Some work for each query, so that the load, on one core, can be three times what the server can do.
        let work = "template IN A {\nmatch ^([a-y]*[.])*(z+)[.]$\nfallthrough\n}\n".repeat(50);
        let (n, h) = (dns.number(), http.number());
        let corefile = format!(".:{n} {{\nbind 127.0.0.1\nprometheus 127.0.0.1:{h}\nerrors\n{work}whoami\n}}\n");
        fs::write(folder.path().join("Corefile"), corefile).expect("written");
        let mut command = Command::new(binary);
        command.args(["-conf", "Corefile", "-quiet"]).current_dir(folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, n));
        (address, move |cores| Server {
            child: cores.spawn(&mut command).expect("it runs"),
            dns,
            http,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.dns.number()).into()
    }

    /// How many answers a second it gives while `load` goes on.
    pub fn rate(&self, load: impl FnOnce()) -> f64 {
        let (before, begin) = (self.answers(), Instant::now());
        load();
        (self.answers() - before) / begin.elapsed().as_secs_f64()
    }

    /// What it has answered until now.
    fn answers(&self) -> f64 {
        let page = self.page().expect("its pages can be read");
        let counts = page.lines().filter(|line| line.starts_with("coredns_dns_responses_total{"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn page(&self) -> Option<String> {
        let mut page = String::new();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http.number())).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        stream.read_to_string(&mut page).ok()?;
        Some(page)
    }

    /// Resident memory, in MB.
    pub fn resident(&self) -> f64 {
        megabytes(self.child.id(), "VmRSS:").expect("it runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
