//! The daemon with one more directive, above `forward`.

use poddns::{plugins, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run(plugins::standard().before("forward", &hello::PLUGIN))
}
