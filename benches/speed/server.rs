//! A server that is measured, as a process group of its own.

use crate::memory::megabytes;
use crate::stage::Stage;
use crate::subjects::Subject;
use crate::works::Work;
use crate::{cores::Cores, wire};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::Port;

/// A server; it ends with its owner, and so do its children.
pub struct Server {
    child: Child,
    port: Port,
    folder: TempDir,
}

impl Server {
    /// Starts it on its core, and waits until it knows all names.
    ///
    /// # Errors
    /// It ends by itself, or does not answer; with the last line that it says.
    pub fn start(cores: &Cores, subject: &Subject, work: &Work, stage: &Stage) -> Result<Server, String> {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), Port::free());
        let mut command = subject.command(work, stage, port.number(), folder.path());
        let log = File::create(folder.path().join(LOG)).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = cores.spawn(&mut command).map_err(|e| format!("does not start: {e}"))?;
        let mut server = Server { child, port, folder };
        for name in work.last_names() {
            server.wait_for(&name)?;
        }
        Ok(server)
    }

    /// Waits until a name is answered with NOERROR.
    fn wait_for(&mut self, name: &str) -> Result<(), String> {
        let (begin, question) = (Instant::now(), wire::question(name, "A"));
        loop {
            let reply = testkit::ask(self.address(), &question, Duration::from_millis(200));
            if reply.is_ok_and(|reply| wire::is_noerror(&reply)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return Err(format!("ended: {status}; {}", self.last_line()));
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("does not know {name} after {} s; {}", PATIENCE.as_secs(), self.last_line()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it said last to standard error.
    fn last_line(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
        log.trim_end().lines().last().unwrap_or("no message").to_owned()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port.number()).into()
    }

    /// User and system time so far, in seconds, of all its processes.
    pub fn cpu(&self) -> (f64, f64) {
        let tick = rustix::param::clock_ticks_per_second() as f64;
        let ticks = |stat: &[u64]| (stat[USER] as f64 / tick, stat[SYSTEM] as f64 / tick);
        self.processes().map(|(_, stat)| ticks(&stat)).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// The most resident memory of each of its processes so far, summed up, in MB.
    pub fn memory(&self) -> f64 {
        // A process that has ended since has none.
        self.processes().filter_map(|(pid, _)| megabytes(pid, "VmHWM:")).sum()
    }

    /// Number and state (`/proc/PID/stat` from the parent's number on) of all processes of the group.
    fn processes(&self) -> impl Iterator<Item = (u32, Vec<u64>)> {
        let group = u64::from(self.child.id());
        let all = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid: u32| Some((pid, stat(pid)?))).filter(move |(_, stat)| stat[GROUP] == group)
    }
}

/// The fields behind name and letter; a negative one is 0. `None`: it has ended.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let stat: Vec<u64> = fields.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0)).collect();
    (stat.len() > SYSTEM).then_some(stat)
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Fields of [`stat`]: proc_pid_stat(5).
const GROUP: usize = 1;
const USER: usize = 10;
const SYSTEM: usize = 11;
/// How long a server may take to know all names.
const PATIENCE: Duration = Duration::from_secs(60);
const LOG: &str = "log";
