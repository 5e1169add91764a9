//! The last configuration that worked (`-fallback FILE`): a copy in one file, with which a start goes on whose Corefile is broken.
//!
//! The copy has no imports, snippets or variables any more: it is what was served, whatever becomes of what that was made of.

use crate::metrics;
use crate::plugins::Table;
use crate::source;
use api::corefile::{Corefile, Source};
use api::task::Tasks;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Keeps the copy.
#[derive(Clone)]
pub struct Fallback {
    file: PathBuf,
}

/// How long a configuration is served before it counts as one that works: what ends a server at once, a loop for example, must
/// not take the place of one that does.
const PROVED: Duration = Duration::from_secs(3);

impl Fallback {
    /// A copy at `file`; `None` where no file is named.
    pub fn at(file: &str) -> Option<Fallback> {
        (!file.is_empty()).then(|| Fallback { file: file.into() })
    }

    /// What the copy is called in messages.
    pub fn shown(&self) -> String {
        self.file.display().to_string()
    }

    /// The work that keeps `corefile` once it has been served for some time. What cannot be kept is logged: it is no reason not to
    /// serve.
    pub fn keep(&self, corefile: &Corefile, table: &Table) -> Tasks {
        let (own, text) = (self.clone(), copy(corefile, table));
        let mut tasks = Tasks::default();
        tasks.add("fallback", "keep the configuration", move |mut stop| async move {
            metrics::fallback_served(false);
            if stop.or(tokio::time::sleep(PROVED)).await.is_some() {
                let shown = own.shown();
                let written = tokio::task::spawn_blocking(move || text.and_then(|text| own.write(&text)));
                if let Err(why) = written.await.unwrap_or_else(|e| Err(e.to_string())) {
                    tracing::warn!("the configuration that runs cannot be kept in {shown} (-fallback): {why}");
                }
            }
            Ok(())
        });
        tasks
    }

    /// Writes the copy, if it is another one.
    fn write(&self, text: &str) -> Result<(), String> {
        if fs::read(&self.file).is_ok_and(|kept| kept == text.as_bytes()) {
            return Ok(());
        }
        self.replace(text.as_bytes()).map_err(|e| api::os_words(&e))
    }

    /// Writes the whole file beside it, and puts it in its place.
    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut beside = self.file.clone().into_os_string();
        beside.push(".new");
        let beside = Path::new(&beside);
        // What an end of the process in between has left.
        let _ = fs::remove_file(beside);
        // The values of variables are in it.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
        let written = file.write_all(text).and_then(|()| file.sync_all()).and_then(|()| fs::rename(beside, &self.file));
        written.inspect_err(|_| drop(fs::remove_file(beside)))?;
        // So that it is there after a crash of the machine; some file systems know no such thing.
        if let Some(folder) = self.file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }

    /// The copy.
    ///
    /// # Errors
    /// There is none, or it has mistakes.
    pub fn read(&self, table: &Table) -> Result<Corefile, String> {
        let file = self.shown();
        let source = source::read(&file)?;
        let (corefile, mistakes) = source::parse(&source, "", table);
        match mistakes.is_empty() {
            true if source::is_default(&corefile) => Err(format!("{file}: there is no server block")),
            true => Ok(corefile),
            false => Err(source::lines(&mistakes)),
        }
    }
}

/// A configuration as one file that means the same.
fn copy(corefile: &Corefile, table: &Table) -> Result<String, String> {
    let text = corefile.to_string();
    // A word may be such that it cannot be written.
    let (read, mistakes) = source::parse(&Source::new("", &text), "", table);
    let same = mistakes.is_empty() && read.to_string() == text;
    if same { Ok(format!("{HEADER}{text}")) } else { Err("it cannot be written as one file".into()) }
}

/// The first line of the copy.
const HEADER: &str = "# The last configuration with which poddns ran; written by poddns -fallback.\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::standard;

    #[test]
    fn a_copy_is_read_and_written_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        let fallback = Fallback::at(path.to_str().unwrap()).unwrap();
        let table = standard();
        let corefile = |text: &str| source::parse(&Source::new("f", text), "1053", &table).0;
        assert!(fallback.read(&table).is_err_and(|why| why.ends_with("no such file or directory")));
        fallback.write(&copy(&corefile(".\nerrors\nwhoami"), &table).unwrap()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{HEADER}dns://.:1053 {{\n    errors\n    whoami\n}}\n"));
        assert_eq!(fallback.read(&table).map(|c| c.blocks.len()), Ok(1));
        let version = || fs::metadata(&path).unwrap().modified().unwrap();
        let before = version();
        fallback.write(&text).unwrap();
        assert_eq!(version(), before, "it is the same");
        fs::write(&path, "").unwrap();
        assert!(fallback.read(&table).is_err_and(|why| why.ends_with("there is no server block")));
        let nowhere = Fallback::at("/proc/nowhere/kept").unwrap();
        assert_eq!(nowhere.write("x"), Err("no such file or directory".into()));
    }
}
