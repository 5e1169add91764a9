//! Hostile bytes for everything of poddns that reads them: targets, and mutations of seeds.

pub mod mutate;
pub mod targets;

use mutate::Mutator;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Octets of the longest input.
const MAX_INPUT: usize = 16 * 1024;

/// Runs `target` on the seeds in `corpus/NAME`, then on mutations of them, for `FUZZ_SECONDS` (15).
///
/// # Panics
/// The target does; the input is printed.
pub fn run(name: &str, mut target: impl FnMut(&[u8])) {
    let seeds = seeds(name);
    let setting = |name: &str, default| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (seconds, seed) = (setting("FUZZ_SECONDS", 15), setting("FUZZ_SEED", 1));
    let (begun, mut mutator, mut tried) = (Instant::now(), Mutator::new(seed), 0u64);
    let mut attempt = |input: &[u8]| {
        let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
        assert!(outcome.is_ok(), "{name} fails with b\"{}\"", input.escape_ascii());
    };
    seeds.iter().for_each(|seed| attempt(seed));
    while begun.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..64 {
            attempt(&mutator.mutate(&seeds, MAX_INPUT));
            tried += 1;
        }
    }
    println!("{name}: {} seeds, {tried} mutations", seeds.len());
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).expect("a folder of seeds").flatten().map(|e| e.path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has seeds", folder.display());
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}
