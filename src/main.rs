//! The poddns daemon with the standard plugins.

use std::process::ExitCode;

fn main() -> ExitCode {
    poddns::run(poddns::plugins::standard())
}
