//! A server that is measured, as a process.

use crate::memory::megabytes;
use crate::message::{GOOD, Question, Verdict};
use crate::{Bench, Subject};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::Port;

/// What is in the block of a server beside its addresses.
#[derive(Default)]
pub struct Block {
    /// What follows `forward .`, without its block.
    to: String,
    /// Properties of `forward`.
    properties: Vec<String>,
    /// Directives.
    lines: Vec<String>,
    /// Files in its folder.
    files: Vec<(String, String)>,
}

impl Block {
    /// One that forwards to these addresses.
    pub fn forward<'a>(to: impl IntoIterator<Item = &'a str>) -> Block {
        Block { to: to.into_iter().collect::<Vec<_>>().join(" "), ..Block::default() }
    }

    /// Adds a property of `forward`.
    pub fn property(mut self, line: &str) -> Block {
        self.properties.push(line.into());
        self
    }

    /// Adds a directive.
    pub fn line(mut self, line: &str) -> Block {
        self.lines.push(line.into());
        self
    }

    /// Adds a file.
    pub fn file(mut self, name: &str, text: String) -> Block {
        self.files.push((name.into(), text));
        self
    }

    fn corefile(&self, port: u16, metrics: u16) -> String {
        let lines: String = self.lines.iter().map(|line| format!(" {line}\n")).collect();
        let properties: String = self.properties.iter().map(|line| format!("  {line}\n")).collect();
        let to = &self.to;
        format!(
            ".:{port} {{\n bind 127.0.0.1\n errors\n prometheus 127.0.0.1:{metrics}\n{lines} forward . {to} {{\n{properties} }}\n}}\n"
        )
    }
}

/// A server; it ends with its owner.
pub struct Server {
    child: Child,
    port: Port,
    metrics: Port,
    _folder: TempDir,
}

impl Server {
    /// Starts a binary that takes CoreDNS's flags, and waits until it answers with the address of [`GOOD`].
    ///
    /// # Errors
    /// It ends by itself; the last line that it says.
    pub fn start(bench: &Bench, subject: &Subject, block: &Block) -> Result<Server, String> {
        let (folder, port, metrics) = (tempfile::tempdir().expect("a folder"), Port::free(), Port::free());
        for (name, text) in &block.files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        fs::write(folder.path().join("Corefile"), block.corefile(port.number(), metrics.number())).expect("written");
        let log = folder.path().join("log");
        let mut command = Command::new(&subject.binary);
        command.args(["-conf", "Corefile"]).current_dir(folder.path());
        command.stdout(Stdio::null()).stderr(File::create(&log).expect("a file"));
        let child = bench.cores.spawn(&mut command).expect("the server runs");
        let mut server = Server { child, port, metrics, _folder: folder };
        server.wait().map_err(|()| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("does not start: {}", log.trim_end().lines().last().unwrap_or_default())
        })?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<(), ()> {
        let begin = Instant::now();
        while !self.answers(&Question::a("ready.example.org"), GOOD) {
            if self.child.try_wait().expect("a child of ours").is_some() || begin.elapsed() > PATIENCE {
                return Err(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Whether it gives this address for the question now.
    pub fn answers(&self, question: &Question, address: [u8; 4]) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
        socket.connect(self.address()).expect("an address");
        let (question, mut reply) = (question.to_wire(), [0; 4096]);
        let length = socket.send(&question).and_then(|_| socket.recv(&mut reply));
        length.is_ok_and(|length| Verdict::of(&question, &reply[..length], address) == Verdict::Good)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port.number()).into()
    }

    /// The lines of the metrics page.
    pub fn metrics(&self) -> Vec<String> {
        let mut page = String::new();
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics.number())).expect("a page");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("a request");
        stream.read_to_string(&mut page).expect("a page");
        page.lines().map(str::to_owned).collect()
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

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
