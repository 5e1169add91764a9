//! What a configuration is made of beside its text: files that the Corefile names, above all.

use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What was looked at while a configuration was set up, and is looked at again when its Corefile is.
#[derive(Default)]
pub struct Inputs(Mutex<Vec<Input>>);

struct Input {
    seen: u64,
    look: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Inputs {
    /// Adds something; `look` gives a number that is another one when it has changed.
    pub fn add(&self, look: impl Fn() -> u64 + Send + Sync + 'static) {
        let input = Input { seen: look(), look: Box::new(look) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(input);
    }

    /// Looks again: a number that tells one state from another where something has changed, `None` where nothing has.
    pub fn changed(&self) -> Option<u64> {
        let inputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now: Vec<u64> = inputs.iter().map(|input| (input.look)()).collect();
        let same = now.iter().zip(&*inputs).all(|(now, input)| *now == input.seen);
        (!same).then(|| fingerprint(&now))
    }
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        write!(f, "Inputs({number})")
    }
}

/// A number for `value`, the same in every run of this program.
pub fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Octets of a file that count.
const MAX_OCTETS: u64 = 64 << 20;

/// A number for what is in a file, or for why it cannot be read. Only regular files are read: others may never end.
pub fn of_file(path: &str) -> u64 {
    let read = || {
        let mut content = Vec::new();
        if Path::new(path).metadata()?.is_file() {
            File::open(path)?.take(MAX_OCTETS).read_to_end(&mut content)?;
        }
        Ok(content)
    };
    fingerprint(&read().map_err(|e: std::io::Error| e.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_seen_and_seen_again_when_it_is_as_before() {
        let path = std::env::temp_dir().join(format!("poddns-inputs-{}", std::process::id()));
        let text = path.to_str().unwrap().to_owned();
        std::fs::write(&path, "a").unwrap();
        let inputs = Inputs::default();
        inputs.add(move || of_file(&text));
        assert_eq!(inputs.changed(), None);
        std::fs::write(&path, "b").unwrap();
        let changed = inputs.changed();
        assert!(changed.is_some() && changed == inputs.changed());
        std::fs::remove_file(&path).unwrap();
        assert!(inputs.changed().is_some() && changed != inputs.changed());
        std::fs::write(&path, "a").unwrap();
        assert_eq!(inputs.changed(), None);
        std::fs::remove_file(&path).unwrap();
    }
}
