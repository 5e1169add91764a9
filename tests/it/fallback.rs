//! `-fallback FILE`: the copy of the last Corefile that worked, and starts with one that does not.

use crate::server::{Daemon, ask, page};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::Port;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const FLAGS: [&str; 2] = ["-fallback", "kept"];

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

/// The content of a file once there is one.
fn wait_for(path: &Path) -> String {
    let begin = Instant::now();
    loop {
        match fs::read_to_string(path) {
            Ok(text) => return text,
            Err(e) => assert!(begin.elapsed() < PATIENCE, "{}: {e}", path.display()),
        }
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_works_is_kept_with_what_it_imports() {
    let port = Port::free();
    let corefile = format!("(s) {{\n whoami\n}}\n.:{} {{\n import s\n import part\n}}\n", port.number());
    let folder = folder(&[("Corefile", &corefile), ("part", "chaos \"{$VERSION}\" \"a b\"\n")]);
    let kept = folder.path().join("kept");
    let mut daemon = Daemon::start_in(folder, &FLAGS, &[("VERSION", "v1")]);
    daemon.wait_for("poddns-");
    let text = wait_for(&kept);
    let block = format!("dns://.:{} {{\n    whoami\n    chaos v1 \"a b\"\n}}\n", port.number());
    assert_eq!(text.split_once('\n').map(|(_, block)| block), Some(block.as_str()));
}

#[test]
fn a_broken_corefile_is_replaced_by_the_copy_until_it_is_repaired() {
    let (port, metrics) = (Port::free(), Port::free());
    let block = |more: &str| {
        let (dns, metrics) = (port.number(), metrics.number());
        format!(".:{dns} {{\n whoami\n prometheus 127.0.0.1:{metrics}\n reload 2s 0s\n{more}}}\n")
    };
    let folder = folder(&[("Corefile", "import nowhere\n"), ("kept", &block(""))]);
    let mut daemon = Daemon::start_in(folder, &FLAGS, &[]);
    daemon.wait_for("poddns-");
    let said = "[ERROR] Corefile is broken, and kept, a copy of what worked last, is served instead: Corefile:1 - ";
    assert!(daemon.log().contains(said), "{}", daemon.log());
    assert_eq!(ask("127.0.0.1", port.number()), (7, 0));
    assert!(page(metrics.number(), "/metrics").contains("\ncoredns_fallback_served 1\n"));
    fs::write(daemon.folder.path().join("Corefile"), block(" errors\n")).expect("written");
    daemon.wait_for("Reloading complete");
    let begin = Instant::now();
    while !page(metrics.number(), "/metrics").contains("\ncoredns_fallback_served 0\n") {
        assert!(begin.elapsed() < PATIENCE, "the copy is served still");
        sleep(Duration::from_millis(20));
    }
    assert_eq!(ask("127.0.0.1", port.number()), (7, 0));
}

#[test]
fn without_a_copy_that_works_a_broken_corefile_is_refused() {
    for (corefile, kept, words) in [
        (".:0 {\n erors\n}\n", None, "no fallback: loading Caddyfile via flag: open kept: no such file or directory"),
        ("", Some(".:0 {\n nosuch\n}\n"), "no fallback: kept:2 - Error during parsing: Unknown directive 'nosuch'"),
    ] {
        let folder = folder(&[("Corefile", corefile)]);
        kept.into_iter().for_each(|text| fs::write(folder.path().join("kept"), text).expect("written"));
        let mut daemon = Daemon::start_in(folder, &FLAGS, &[]);
        assert_eq!(daemon.end().code(), Some(1), "{}", daemon.log());
        let log = daemon.log();
        assert!(log.starts_with("Corefile:") && log.contains(words), "{log}");
    }
}

#[test]
fn a_copy_that_cannot_be_written_is_no_reason_not_to_serve() {
    let port = Port::free();
    let folder = folder(&[("Corefile", &format!(".:{} {{\n whoami\n}}\n", port.number()))]);
    let mut daemon = Daemon::start_in(folder, &["-fallback", "/proc/nowhere/kept"], &[]);
    daemon.wait_for(
        "[WARNING] the configuration that runs cannot be kept in /proc/nowhere/kept (-fallback): no such file",
    );
    assert_eq!(ask("127.0.0.1", port.number()), (7, 0));
}
