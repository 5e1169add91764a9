//! Reads the hosts file again when it has changed.

use crate::table::{Reverse, Table};
use crate::{ENTRIES, RELOADED};
use api::task::Stop;
use api::{Name, Result};
use arc_swap::ArcSwap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A hosts file, and what becomes of its content.
pub struct File {
    /// The path.
    pub path: String,
    /// The zones that its names have to be in.
    pub zones: Box<[Name]>,
    /// Whether names of addresses are kept.
    pub reverse: Reverse,
    /// Entries that the Corefile has beside the file.
    pub lines: usize,
    /// Where the content goes.
    pub table: Arc<ArcSwap<Table>>,
    seen: Option<Version>,
}

/// What tells that a file has changed: time of its last change, size.
type Version = (SystemTime, u64);

impl File {
    /// A file that has not been read.
    pub fn new(path: String, zones: Box<[Name]>, reverse: Reverse, lines: usize) -> File {
        File { path, zones, reverse, lines, table: Arc::default(), seen: None }
    }

    /// Reads the file if it has changed. What cannot be read leaves everything as it is.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn refresh(&mut self) -> io::Result<()> {
        let found = fs::metadata(&self.path)?;
        let version = (found.modified()?, found.len());
        if self.seen == Some(version) || found.is_dir() {
            return Ok(());
        }
        let table = Table::parse(&fs::read(&self.path)?, &self.zones, self.reverse);
        ENTRIES.with(&[&self.path]).set((table.len() + self.lines) as f64);
        RELOADED.with(&[]).set(version.0.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        self.table.store(Arc::new(table));
        self.seen = Some(version);
        Ok(())
    }

    /// Looks at the file every `interval` until `stop`. A file that goes away leaves its last content.
    pub async fn watch(mut self, interval: Duration, mut stop: Stop) -> Result {
        let mut told = false;
        while stop.or(tokio::time::sleep(interval)).await.is_some() {
            match self.refresh() {
                Ok(()) => told = false,
                Err(e) if e.kind() == io::ErrorKind::NotFound => (),
                Err(e) if told => tracing::debug!("cannot read {}: {}", self.path, api::os_words(&e)),
                Err(e) => {
                    tracing::warn!("cannot read {}: {}; names stay as they are", self.path, api::os_words(&e));
                    told = true;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_read_again_when_it_has_changed() {
        let mut on_disk = tempfile::NamedTempFile::new().unwrap();
        let path = on_disk.path().display().to_string();
        let mut file = File::new(path, [Name::root()].into(), Reverse::Off, 0);
        let name = Name::from_text("a.example").unwrap();
        file.refresh().unwrap();
        assert!(file.table.load().v4(name.as_ref()).is_empty());
        on_disk.write_all(b"192.0.2.1 a.example\n").unwrap();
        file.refresh().unwrap();
        assert_eq!(file.table.load().v4(name.as_ref()).len(), 1);
        on_disk.close().unwrap();
        assert_eq!(file.refresh().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(file.table.load().v4(name.as_ref()).len(), 1, "the last content stays");
    }
}
