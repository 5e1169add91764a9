//! Which files an import means, and how much may be imported.

use super::error::Via;
use super::{Beside, Limits, Token};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Imports of snippets and of files in one Corefile (CoreDNS's limits; both messages name the smaller one).
const MAX_SNIPPETS: usize = 10_000;
const MAX_FILES: usize = 100_000;

/// CoreDNS's words for too many imports, and for a snippet that imports itself.
pub(super) const TOO_MANY_SNIPPETS: &str = "maximum snippet import depth (10000) exceeded";
const TOO_MANY_FILES: &str = "maximum file import depth (10000) exceeded";

/// What has been imported so far.
pub(super) struct Imports {
    beside: Beside,
    snippets: usize,
    files: usize,
    octets: usize,
}

impl Imports {
    /// Nothing so far; files `beside` the Corefile count before those on disk.
    pub fn new(beside: Beside) -> Imports {
        Imports { beside, snippets: 0, files: 0, octets: 0 }
    }

    /// Counts the import of a snippet by the word at `word`.
    pub fn count_snippet(&mut self, name: &str, word: &Token) -> Result<(), String> {
        self.snippets += 1;
        let circle = imported_by(word.via.as_ref(), &format!("({name})"));
        if self.snippets > MAX_SNIPPETS || circle { Err(TOO_MANY_SNIPPETS.into()) } else { Ok(()) }
    }

    /// Counts the import of a file by the word at `word`.
    pub fn count_file(&mut self, path: &Path, word: &Token) -> Result<(), String> {
        self.files += 1;
        let circle = imported_by(word.via.as_ref(), &path.to_string_lossy());
        if self.files > MAX_FILES || circle { Err(TOO_MANY_FILES.into()) } else { Ok(()) }
    }

    /// Reads a file.
    pub fn read(&mut self, path: &Path, limits: Limits) -> Result<Vec<u8>, String> {
        let shown = path.display();
        if let Some((_, text)) = self.beside.iter().find(|(beside, _)| beside == path) {
            return Ok(text.clone());
        }
        if path.is_dir() {
            return Err(format!("Could not import {shown}: is a directory"));
        }
        let room = limits.octets.saturating_sub(self.octets);
        let mut text = Vec::new();
        let read = std::fs::File::open(path).and_then(|f| f.take(room as u64 + 1).read_to_end(&mut text));
        read.map_err(|e| format!("Could not import {shown}: open {shown}: {}", crate::os_words(&e)))?;
        self.octets += text.len();
        if text.len() > room {
            return Err(format!("Could not import {shown}: more than {} octets are imported", limits.octets));
        }
        Ok(text)
    }

    /// The files that `pattern` means in an import that stands in `file`, in order; none where a glob matches nothing.
    pub fn files(&self, pattern: &str, file: &str) -> Result<Vec<PathBuf>, String> {
        files(pattern, file, &self.beside)
    }
}

/// Whether an import of `what` is on the way that led here: a circle.
fn imported_by(mut via: Option<&Arc<Via>>, what: &str) -> bool {
    while let Some(import) = via {
        if *import.what == *what {
            return true;
        }
        via = import.via.as_ref();
    }
    false
}

fn files(pattern: &str, file: &str, beside: &Beside) -> Result<Vec<PathBuf>, String> {
    let path = absolute(pattern, file);
    let text = if pattern.starts_with('/') { pattern.into() } else { path.to_string_lossy() };
    if text.matches('*').count() > 1 || text.matches('?').count() > 1 || (text.contains('[') && text.contains(']')) {
        return Err(format!("Glob pattern may only contain one wildcard (*), but has others: {text}"));
    }
    if !is_pattern(&text) {
        return Err(format!("Failed to use import pattern {pattern}: syntax error in pattern"));
    }
    let matches = if text.contains(MAGIC) { glob(&path) } else { vec![path.clone()] };
    let mut matches: Vec<PathBuf> = matches.into_iter().filter(|p| p.symlink_metadata().is_ok()).collect();
    let of_beside = beside.iter().map(|(beside, _)| beside).filter(|b| is_meant(&path, b) && !matches.contains(b));
    matches.extend(of_beside.cloned().collect::<Vec<_>>());
    matches.sort();
    if !matches.is_empty() {
        return Ok(matches);
    }
    if !text.contains(['*', '?', ']']) {
        return Err(format!("File to import not found: {pattern}"));
    }
    Ok(Vec::new())
}

/// A relative path starts at the folder of the file that holds the import. `.` and `..` are resolved in the text.
fn absolute(pattern: &str, file: &str) -> PathBuf {
    let file = std::path::absolute(if file.is_empty() { "Corefile" } else { file });
    let folder = file.ok().and_then(|f| f.parent().map(Path::to_owned)).unwrap_or_default();
    let mut clean = PathBuf::new();
    for part in folder.join(pattern).components() {
        match part {
            std::path::Component::ParentDir => drop(clean.pop()),
            std::path::Component::CurDir => (),
            part => clean.push(part),
        }
    }
    clean
}

/// Whether a file in memory fits a pattern in its last part.
fn is_meant(pattern: &Path, path: &Path) -> bool {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    pattern.parent() == path.parent() && fits(&last(pattern), &last(path))
}

/// The paths that match, each part of the pattern for itself, in lexical order.
fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(MAGIC) {
            found.iter_mut().for_each(|p| p.push(part));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name());
            let mut names: Vec<_> = names.filter(|n| fits(&text, &n.to_string_lossy())).collect();
            names.sort_unstable();
            next.extend(names.iter().map(|n| folder.join(n)));
        }
        found = next;
    }
    found
}

/// What is not itself in a pattern.
const MAGIC: [char; 3] = ['*', '?', '\\'];

/// Whether nothing in a pattern is left open: a `[` (there is no `]` behind it), or a backslash at the end.
fn is_pattern(text: &str) -> bool {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '[' || (letter == '\\' && letters.next().is_none()) {
            return false;
        }
    }
    true
}

/// Whether `name` fits a pattern of which `*` stands for any text, `?` for any character, and `\X` for X.
fn fits(pattern: &str, name: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => name.is_empty(),
        Some('*') => {
            name.char_indices().map(|(i, _)| i).chain([name.len()]).any(|i| fits(letters.as_str(), &name[i..]))
        }
        Some(c) => {
            let wanted = if c == '\\' { letters.next() } else { Some(c) };
            let mut rest = name.chars();
            rest.next().is_some_and(|n| (c == '?' || wanted == Some(n)) && fits(letters.as_str(), rest.as_str()))
        }
    }
}
