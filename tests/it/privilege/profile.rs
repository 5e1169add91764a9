//! `deploy/seccomp.json`, as the runtimes of containers read it, for the process that this test becomes.

use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// What is read of a profile (the part `linux.seccomp` of the runtime specification of the Open Container Initiative).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Vec<String>,
    action: String,
    /// The error that is returned where the action is one.
    errno_ret: Option<u32>,
    /// All of them have to hold.
    #[serde(default)]
    args: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Lets this thread, and all that begins in it, do no more than the profile allows, with one difference: what it refuses without naming it
/// ends the process (SIGSYS), so that it cannot go unnoticed.
pub(super) fn apply() {
    let profile = read();
    let (refused, allowed): (Vec<&Rule>, Vec<&Rule>) =
        profile.syscalls.iter().partition(|rule| rule.action == "SCMP_ACT_ERRNO");
    for rule in &refused {
        let errno = json!({"errno": rule.errno_ret.expect("an error")});
        apply_filter(&program("allow".into(), errno, &[rule])).expect("a filter");
    }
    // What is refused is let through here: of two filters that one counts which allows less.
    let named = [refused, allowed].concat();
    apply_filter(&program("kill_process".into(), "allow".into(), &named)).expect("a filter");
}

fn read() -> Profile {
    let text = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/seccomp.json")).expect("a profile");
    let profile: Profile = serde_json::from_slice(&text).expect("a profile");
    assert_eq!(profile.default_action, "SCMP_ACT_ERRNO");
    profile
}

/// A filter that does `otherwise` for all that is in none of the rules.
fn program(otherwise: Value, action: Value, rules: &[&Rule]) -> BpfProgram {
    let here = TargetArch::try_from(std::env::consts::ARCH).expect("a processor that is known");
    let calls = rules.iter().flat_map(|rule| rule.names.iter().map(|name| call(name, rule)));
    // Names of other processors are passed over, as runtimes do it.
    let calls = calls.filter(|call| compile(here, "allow".into(), "trap".into(), std::slice::from_ref(call)).is_some());
    compile(here, otherwise, action, &calls.collect::<Vec<_>>()).expect("a program")
}

fn call(name: &str, rule: &Rule) -> Value {
    let operator = |argument: &Argument| match argument.op.as_str() {
        "SCMP_CMP_EQ" => (json!("eq"), argument.value),
        "SCMP_CMP_MASKED_EQ" => (json!({"masked_eq": argument.value}), argument.value_two),
        other => panic!("{other}"),
    };
    let condition = |argument: &Argument| {
        let (op, value) = operator(argument);
        json!({"index": argument.index, "type": "qword", "op": op, "val": value})
    };
    match rule.args.is_empty() {
        true => json!({"syscall": name}),
        false => json!({"syscall": name, "args": rule.args.iter().map(condition).collect::<Vec<_>>()}),
    }
}

fn compile(to: TargetArch, otherwise: Value, action: Value, calls: &[Value]) -> Option<BpfProgram> {
    let filter = json!({"f": {"mismatch_action": otherwise, "match_action": action, "filter": calls}});
    compile_from_json(filter.to_string().as_bytes(), to).ok()?.remove("f")
}

#[test]
fn every_name_is_one_on_x86_64_or_aarch64_and_stands_once() {
    let profile = read();
    let mut seen = BTreeSet::new();
    for rule in &profile.syscalls {
        assert!(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"].contains(&rule.action.as_str()), "{}", rule.action);
        for name in &rule.names {
            let known = [TargetArch::x86_64, TargetArch::aarch64]
                .map(|to| compile(to, "trap".into(), "allow".into(), &[call(name, rule)]).is_some());
            assert!(known.contains(&true), "{name} is no system call");
            let values: Vec<u64> = rule.args.iter().map(|argument| argument.value).collect();
            assert!(seen.insert((name.as_str(), values)), "{name} stands twice");
        }
    }
}

/// systemd has its own way to write the list.
#[test]
fn the_unit_has_the_same_names() {
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/poddns.service")).expect("a unit");
    let lines = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let of_unit: BTreeSet<&str> = lines.flat_map(str::split_whitespace).collect();
    let profile = read();
    let names: BTreeSet<&str> = profile.syscalls.iter().flat_map(|rule| &rule.names).map(String::as_str).collect();
    assert_eq!(of_unit, names);
}
