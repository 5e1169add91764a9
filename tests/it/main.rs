//! The whole daemon from outside, and the shape of the tree.
//!
//! - `allocations`: what an answer allocates;
//! - `check`: `poddns check` in dialogues;
//! - `derived`: manifests without EndpointSlices;
//! - `fallback`: starts with a broken Corefile;
//! - `freshness`: an API server that goes away and comes back without its history;
//! - `golden`: plays the recordings of `tests/golden` against the daemon, one test per family;
//! - `differences`: what we do otherwise on purpose, and what a later change brings;
//! - `hostile`: messages, connections and requests that are meant to do harm;
//! - `log`: lines about queries while nobody reads them, and at the end;
//! - `metrics`: labels that no recording shows;
//! - `operations`: reloads, stops and successors under load;
//! - `overload`: more queries than can be answered;
//! - `privilege`: what it does without privileges, with `deploy/seccomp.json` and where nothing can be written;
//! - `readme`: the Corefile blocks of the READMEs;
//! - `server`: broken and hostile Corefiles, reloads that fail, signals;
//! - `tidy`: the rules of `docs/architecture.md` that a machine can check.
#![expect(clippy::disallowed_methods, reason = "tests have their own clock and tasks")]

mod allocations;
mod check;
mod derived;
mod differences;
mod fallback;
mod freshness;
mod golden;
mod hostile;
mod log;
mod metrics;
mod operations;
mod overload;
mod privilege;
mod readme;
mod server;
mod tidy;

/// The daemon that is tested: the one that the environment variable `PODDNS` names, or the one just built.
fn program() -> String {
    std::env::var("PODDNS").unwrap_or_else(|_| env!("CARGO_BIN_EXE_poddns").to_owned())
}
