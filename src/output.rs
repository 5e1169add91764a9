//! stand-in
use crate::cli::LogFormat;
use std::process::ExitCode;
pub fn init(_f: LogFormat) {}
pub fn set_debug(_on: bool) {}
#[expect(clippy::print_stdout, reason = "stand-in")]
pub fn fatal(text: &str) -> ExitCode {
    println!("[FATAL] {text}");
    ExitCode::from(1)
}
