//! Instructions per query, by kind of query: figures that do not depend on how busy the machine is.
//!
//! ```text
//! cargo bench --bench instructions                         # counts, compares with figures.txt; exit 1 where one grew by over 5 %
//! cargo bench --bench instructions -- --record             # writes figures.txt
//! cargo bench --bench instructions -- --keep DIR A AAAA    # only these; leaves callgrind's files in DIR for callgrind_annotate
//! cargo bench --profile quick --bench instructions         # built in a fraction of the time; with figures of its own
//! ```
//!
//! The program runs itself under valgrind's callgrind, which counts what one function executes: `measured`, once for each kind. The
//! server is the whole one but for sockets (`poddns::inprocess`), with the Corefile that Kubernetes ships over 1,000 services with
//! ten endpoints each. Why no crate does this: those that there are want a second program installed, in the same version, and keep
//! their figures in `target/`, where nobody can review how they change.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints what it found")]

mod cases;
mod figures;
#[path = "../common/objects.rs"]
#[expect(dead_code, reason = "another benchmark changes the cluster too")]
mod objects;
#[path = "../common/profile.rs"]
mod profile;

use cases::{Case, Cluster};
use figures::Figures;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What the program is to do.
#[derive(Default)]
struct Arguments {
    record: bool,
    keep: Option<PathBuf>,
    cases: Vec<String>,
    /// It runs under callgrind.
    child: bool,
}

impl Arguments {
    fn read() -> Arguments {
        let mut all = Arguments::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match &*word {
                "--bench" => (),
                "--record" => all.record = true,
                "--child" => all.child = true,
                "--keep" => all.keep = words.next().map(PathBuf::from),
                _ => all.cases.push(word),
            }
        }
        all
    }

    /// The kinds of queries that are wanted.
    fn cases(&self) -> impl Iterator<Item = &'static Case> {
        cases::ALL.iter().filter(|case| self.cases.is_empty() || self.cases.iter().any(|name| name == case.name))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read();
    if arguments.child {
        run_cases(&arguments);
        return ExitCode::SUCCESS;
    }
    if !Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("skipped: valgrind is not installed (Debian: apt-get install valgrind)");
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = arguments.keep.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(folder).expect("a folder");
    let mut counted = Vec::new();
    for (number, case) in (1..).zip(arguments.cases()) {
        let Some(all) = count(case, &folder.join(format!("out.{number}"))) else {
            eprintln!("callgrind failed: {}", case.name);
            return ExitCode::FAILURE;
        };
        counted.push((case.name, all / cases::QUERIES));
    }
    Figures::of_this_build().judge(&counted, arguments.record)
}

/// Runs this program under callgrind for one kind of queries; the instructions of all of them, of which `file` tells more.
fn count(case: &Case, file: &Path) -> Option<u64> {
    let mut callgrind = Command::new("valgrind");
    callgrind.args(["--tool=callgrind", "--quiet", "--collect-atstart=no", "--toggle-collect=*cases*measured*"]);
    callgrind.arg(format!("--callgrind-out-file={}", file.display()));
    callgrind.arg(std::env::current_exe().expect("this program")).args(["--child", case.name]);
    let ended = callgrind.stdout(Stdio::null()).status().ok()?;
    if ended.success() { total(file) } else { None }
}

/// The instructions in a file of callgrind; `None` where there is none.
fn total(path: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")))?;
    line.trim().parse().ok()
}

/// What the child does: a kind of queries, once to warm up and once to be measured.
fn run_cases(arguments: &Arguments) {
    poddns::inprocess::log_as_a_worker().expect("a writer");
    let cluster = Cluster::new();
    arguments.cases().for_each(|case| case.run(&cluster));
}
