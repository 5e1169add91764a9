//! From the command line to a running server; what is printed on the way.

use crate::beside;
use crate::check;
use crate::cli::{self, Command, Options, Refused};
use crate::memory;
use crate::metrics;
use crate::output;
use crate::panics;
use crate::plugins::{Row, Table};
use crate::running::Running;
use crate::signals::Signals;
use std::io::{self, Write};
use std::process::ExitCode;

/// Name and version, as `-version` and the start-up lines show them.
pub const VERSION: &str = concat!("poddns-", env!("CARGO_PKG_VERSION"));

/// Environment variable with the ID of the process that a successor ends once it serves (SIGUSR2).
pub const PREDECESSOR: &str = "PODDNS_PREDECESSOR";

/// Open files that there is room for from the start: 8 octets of the kernel's memory each.
const SOCKETS: i32 = 16_384;

/// Runs the daemon with the process's arguments until it ends.
pub fn run(table: Table) -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_else(|| "poddns".into());
    match cli::parse(arguments) {
        Ok(Command::Serve(options)) => {
            let status = serve(table, options);
            output::finish();
            status
        }
        Ok(Command::Check(options)) => {
            let checked = check::run(&table, &options);
            say(&checked.text);
            ExitCode::from(checked.status)
        }
        Ok(Command::Version) => say(&format!("{VERSION}\n{}\n", platform())),
        Ok(Command::Plugins) => say(&directives(&table)),
        Ok(Command::Help) => say(&cli::usage(&program)),
        Ok(Command::CheckHelp) => say(&cli::check_usage(&program)),
        Err(Refused::Flag(text)) => refuse(&format!("{text}\n{}", cli::usage(&program)), 2),
        Err(Refused::Check(text)) => refuse(&format!("{text}\n{}", cli::check_usage(&program)), 2),
        Err(Refused::Words(text)) => refuse(&text, 1),
    }
}

/// Serves until the process is told to stop.
fn serve(table: Table, options: Options) -> ExitCode {
    make_room_for_sockets(allow_many_sockets());
    if let Err(e) = output::init(options.log) {
        return refuse(&format!("cannot start the log: {e}"), 1);
    }
    panics::install();
    metrics::register();
    for row in &table.0 {
        if let Row::Built(def) = row {
            def.metrics.iter().for_each(|m| m.register());
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return refuse(&format!("cannot start the background runtime: {e}"), 1),
    };
    beside::allow();
    let status = runtime.block_on(async {
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(e) => return refuse(&format!("cannot listen to signals: {e}"), 1),
        };
        match signals.unless_ended(start(table, options)).await {
            Some(Ok(running)) => tokio::select! {
                status = running.serve(signals) => status,
                never = memory::keep_in_huge_pages() => match never {},
            },
            Some(Err(text)) => refuse(&text, 1),
            None => ExitCode::SUCCESS, // told to end before it has begun
        }
    });
    runtime.shutdown_background(); // a set-up that hangs, in a file that never ends, does not hold up the end
    status
}

/// Raises the number of open files to what the system allows at most, as Go's runtime does: connections and waiting queries
/// have a socket each, and the usual 1,024 are few. Returns how many there may be.
fn allow_many_sockets() -> u64 {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: before.maximum, ..before };
    // What there is has to do where it cannot be raised.
    let allowed = rustix::process::setrlimit(rustix::process::Resource::Nofile, most).map_or(before, |()| most);
    allowed.current.unwrap_or(u64::MAX)
}

/// Has the system make its table of our open files large enough for many of them, of which so many are `allowed`. It would grow it
/// as they become more, and Linux lets the thread that opens one more wait for some 10 ms then, until no other one reads the old
/// table: a worker would answer nobody in the meantime. There are no other threads yet.
fn make_room_for_sockets(allowed: u64) {
    let many = i32::try_from(allowed).map_or(SOCKETS, |allowed| allowed.min(SOCKETS));
    // Without that room all works, too.
    let _ = rustix::io::fcntl_dupfd_cloexec(io::stderr(), many - 1);
}

/// Everything up to the first query; a failure leaves nothing open.
async fn start(table: Table, options: Options) -> Result<Running, String> {
    let (quiet, pidfile) = (options.quiet, options.pidfile.clone());
    let running = Running::start(table, options).await?;
    if !pidfile.is_empty()
        && let Err(e) = std::fs::write(&pidfile, format!("{}\n", std::process::id()))
    {
        tracing::error!("Could not write pidfile: open {pidfile}: {}", api::os_words(&e));
    }
    end_predecessor();
    if !quiet {
        let mut lines = String::new();
        running.zones().for_each(|zone| lines += &format!("{zone}\n"));
        say(&format!("{lines}{VERSION}\n{}\n", platform()));
    }
    Ok(running)
}

/// Stops the process that this one succeeds, if there is one: from now on we answer.
fn end_predecessor() {
    let id = std::env::var(PREDECESSOR).ok().and_then(|id| id.parse().ok()).and_then(rustix::process::Pid::from_raw);
    // Only the parent: the variable may have been inherited from anywhere.
    if let Some(id) = id.filter(|&id| rustix::process::getppid() == Some(id))
        && let Err(e) = rustix::process::kill_process(id, rustix::process::Signal::TERM)
    {
        tracing::error!("cannot stop the predecessor, process {}: {e}", id.as_raw_nonzero());
    }
}

/// All directives of the table that work or are known, as CoreDNS prints them: sorted, the one that is no DNS plugin last.
fn directives(table: &Table) -> String {
    let mut names: Vec<&str> = table.0.iter().map(Row::name).collect();
    names.sort_unstable_by_key(|name| (*name == "on", *name));
    names.iter().map(|name| format!("{name}\n")).collect::<String>() + "\n"
}

fn platform() -> String {
    format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Prints on standard output.
fn say(text: &str) -> ExitCode {
    // Nobody reads: no reason not to serve.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Prints why the process ends.
fn refuse(text: &str, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "{text}");
    ExitCode::from(status)
}
