//! Instructions and time of a query, by kind of query, and of the parts of its way.
//!
//! ```text
//! cargo bench --bench instructions                         # counts, compares with figures.txt; exit 1 where one grew by over 5 %
//! cargo bench --bench instructions -- --record             # writes figures.txt
//! cargo bench --bench instructions -- --keep DIR A AAAA    # only these; leaves callgrind's files in DIR for callgrind_annotate
//! cargo bench --profile quick --bench instructions         # built in a fraction of the time; with figures of its own
//! ```
//!
//! The program runs itself under valgrind's callgrind, which counts what one function executes: `measured`, once for each kind; these
//! figures do not depend on how busy the machine is. It runs itself once more without, for the time: of the fastest of 100 rounds of
//! 50 queries. That is not on record.
//!
//! Whole queries are asked of the whole server but for sockets (`poddns::inprocess`), with the Corefile that Kubernetes ships over
//! 1,000 services with ten endpoints each. Why no crate does this: those that there are want a second program installed, in the same
//! version, and keep their figures in `target/`, where nobody can review how they change.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement reads the clock and prints what it found"
)]

mod cases;
#[path = "../common/cluster.rs"]
mod cluster;
mod figures;
#[path = "../common/objects.rs"]
#[expect(dead_code, reason = "another benchmark changes the cluster too")]
mod objects;
mod parts;
#[path = "../common/profile.rs"]
mod profile;
mod whole;

use cases::Case;
use cluster::Cluster;
use figures::{Figures, Measured};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// What the program is to do.
#[derive(Default)]
struct Arguments {
    role: Role,
    record: bool,
    keep: Option<PathBuf>,
    cases: Vec<String>,
}

/// Who this process is.
#[derive(Default, PartialEq, Eq)]
enum Role {
    /// The one that was started, and judges.
    #[default]
    Judge,
    /// Its child under callgrind, which does what is counted.
    Counted,
    /// Its child that takes the time.
    Timed,
}

impl Arguments {
    fn read() -> Arguments {
        let mut all = Arguments::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match &*word {
                "--bench" => (),
                "--record" => all.record = true,
                COUNTED => all.role = Role::Counted,
                TIMED => all.role = Role::Timed,
                "--keep" => all.keep = words.next().map(PathBuf::from),
                _ => all.cases.push(word),
            }
        }
        all
    }

    /// What is wanted.
    fn cases(&self) -> impl Iterator<Item = &'static dyn Case> {
        cases::all().filter(|case| self.cases.is_empty() || self.cases.iter().any(|name| name == case.name()))
    }
}

const COUNTED: &str = "--counted";
const TIMED: &str = "--timed";

fn main() -> ExitCode {
    let arguments = Arguments::read();
    match arguments.role {
        Role::Judge => judge(&arguments),
        Role::Counted | Role::Timed => {
            run(&arguments);
            ExitCode::SUCCESS
        }
    }
}

/// What a child does.
fn run(arguments: &Arguments) {
    poddns::inprocess::log_as_a_worker().expect("a writer");
    let cluster = Cluster::new();
    for case in arguments.cases() {
        match arguments.role {
            Role::Timed => eprintln!("{}", cases::time(case, &cluster).as_nanos()),
            _ => cases::count(case, &cluster),
        }
    }
}

fn judge(arguments: &Arguments) -> ExitCode {
    if !Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("skipped: valgrind is not installed (Debian: apt-get install valgrind)");
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = arguments.keep.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(folder).expect("a folder");
    let mut figures = Figures::of_this_build();
    for (number, case) in (1..).zip(arguments.cases()) {
        let name = case.name();
        let (Some(all), Some(time)) = (count(name, &folder.join(format!("out.{number}"))), time(name)) else {
            eprintln!("a child failed: {name}");
            return ExitCode::FAILURE;
        };
        figures.take(Measured { name, instructions: all / cases::QUERIES as u64, time });
    }
    if arguments.record { figures.record() } else { figures.judge() }
}

/// Runs this program under callgrind for one case; the instructions of all queries, of which `file` tells more.
fn count(name: &str, file: &Path) -> Option<u64> {
    let mut callgrind = Command::new("valgrind");
    callgrind.args(["--tool=callgrind", "--quiet", "--collect-atstart=no", "--toggle-collect=*cases*measured*"]);
    callgrind.arg(format!("--callgrind-out-file={}", file.display()));
    callgrind.arg(std::env::current_exe().expect("this program")).args([COUNTED, name]);
    let ended = callgrind.stdout(Stdio::null()).status().ok()?;
    if ended.success() { total(file) } else { None }
}

/// The instructions in a file of callgrind; `None` where there is none.
fn total(path: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")))?;
    line.trim().parse().ok()
}

/// Runs this program for one case; the time of a query.
fn time(name: &str) -> Option<Duration> {
    let program = std::env::current_exe().expect("this program");
    let ended = Command::new(program).args([TIMED, name]).stdout(Stdio::null()).output().ok()?;
    String::from_utf8(ended.stderr).ok()?.trim().parse().ok().map(Duration::from_nanos)
}
