//! YAML, as manifests and configuration files beside the Corefile are written in it.
//!
//! The only module that names serde_yaml, which is no longer developed: what takes its place one day is exchanged here.

use serde::Deserialize;
pub use serde_yaml::Value;

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 0.
    pub line: usize,
    /// In words, with the place.
    pub words: String,
}

/// Reads one document.
///
/// # Errors
/// It is no YAML, or not of the form that is wanted.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    serde_yaml::from_str(text)
        .map_err(|e| Fault { line: e.location().map_or(0, |l| l.line().saturating_sub(1)), words: e.to_string() })
}

/// Why a text is no YAML, in the words that Go has for it: `yaml: line 1: did not find expected node content`.
pub fn fault_in_go(text: &str) -> Option<String> {
    let error = serde_yaml::from_str::<Value>(text).err()?;
    let whole = error.to_string();
    let words = whole.split(" at line").next().unwrap_or(&whole);
    // Go counts from 0 but where single characters are at fault.
    let line = error.location().map_or(0, |l| l.line()).saturating_sub(usize::from(!whole.contains("while scanning")));
    Some(if line == 0 { format!("yaml: {words}") } else { format!("yaml: line {line}: {words}") })
}
