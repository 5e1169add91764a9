//! The first core is for the server that is measured, the others are for load and upstreams.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::process::{Child, Command};

/// The cores of the machine, shared out; on a machine with one core, or where it is forbidden, all run where they may.
pub struct Cores {
    shares: Option<(CpuSet, CpuSet)>,
}

impl Cores {
    /// Takes the share of the load for this thread and all that it starts.
    pub fn share_out() -> Cores {
        let shares = sched_getaffinity(None).ok().and_then(|all| {
            let first = (0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu))?;
            let (mut server, mut load) = (CpuSet::new(), all);
            server.set(first);
            load.unset(first);
            (load.count() > 0 && sched_setaffinity(None, &load).is_ok()).then_some((server, load))
        });
        if shares.is_none() {
            println!("load and servers share the same cores: figures say little");
        }
        Cores { shares }
    }

    /// Starts a server on its core.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let Some((server, load)) = &self.shares else { return command.spawn() };
        sched_setaffinity(None, server)?;
        let child = command.spawn();
        sched_setaffinity(None, load)?;
        child
    }
}
