//! `poddns check`: for each kind of finding a dialogue in `data/check`, and that what starts is found to be fine.
//!
//! A dialogue is a command, the files that it finds, and behind `----` what it prints and its exit status. The environment
//! variable `UPDATE` writes what is printed into the dialogues.

use poddns::plugins::{Row, standard};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn dialogues() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in files(&root().join("tests/it/data/check")) {
        let text = fs::read_to_string(&path).expect("a dialogue");
        let (asked, wanted) = text.split_once("----\n").expect("what is printed stands behind ----");
        let said = play(asked);
        if said != wanted && update {
            fs::write(&path, format!("{asked}----\n{said}")).expect("written");
        } else if said != wanted {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_shipped_is_fine() {
    let (said, status) = check(&["-strict", "Corefile.example", "examples/cluster/Corefile"], root());
    assert_eq!(status, 0, "{said}");
}

/// What misspelt words are compared with is what set-up knows.
#[test]
fn every_property_is_known_to_its_directive() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = standard();
    let built = table.0.iter().filter_map(|row| match row {
        Row::Built(def) => Some(def),
        Row::NotYet(_) => None,
    });
    let properties = built.flat_map(|def| def.properties.iter().map(|property| (def.name, *property)));
    let mut names = Vec::new();
    for (directive, property) in properties {
        let arguments = match (directive, property) {
            ("template", _) => " IN A",
            ("forward", _) => " . 9.9.9.9",
            ("loadbalance", "reload") => " weighted file",
            _ => "",
        };
        let corefile = format!(". {{\n {directive}{arguments} {{\n  {property}\n }}\n}}\n");
        fs::write(folder.path().join(format!("{directive}-{property}")), corefile).expect("written");
        names.push(format!("{directive}-{property}"));
    }
    assert!(names.len() > 70, "{names:?}");
    let arguments: Vec<&str> = ["-format", "json"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let report: Value = serde_json::from_str(&check(&arguments, folder.path()).0).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    let unknown: Vec<&Value> = findings.iter().filter(|f| f["message"].to_string().contains("unknown")).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// What `poddns check` says to a dialogue's files, with the exit status.
fn play(asked: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut parts = asked.split("==== ");
    let command = parts.next().expect("a command").trim();
    let arguments = command.strip_prefix("$ poddns check").expect("a command").split_whitespace();
    for part in parts {
        let (name, text) = part.split_once('\n').expect("a file");
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }
    let (said, status) = check(&arguments.collect::<Vec<_>>(), folder.path());
    let own = [folder.path().to_path_buf(), fs::canonicalize(folder.path()).expect("a folder")];
    let said = own.iter().fold(said, |said, own| said.replace(own.to_str().expect("UTF-8"), "FOLDER"));
    format!("{said}exit {status}\n")
}

/// Output and exit status.
fn check(arguments: &[&str], folder: &Path) -> (String, i32) {
    let out = Command::new(crate::program())
        .arg("check")
        .args(arguments)
        .current_dir(folder)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("PASSED", "1.1.1.1")
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    (String::from_utf8(out.stdout).expect("UTF-8"), out.status.code().expect("it ends"))
}

/// The files of a folder and those below it, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
