//! What is wrong with manifests: lines for the log, and a counter.

use super::documents::Document;
use crate::metrics::not_understood;
use std::collections::HashSet;

/// The mistakes in one reading of all files.
#[derive(Default)]
pub struct Problems {
    lines: Vec<String>,
    said: HashSet<String>,
    /// Places of the objects that have been counted.
    counted: HashSet<String>,
}

impl Problems {
    /// An object, or a part of it, makes no sense.
    pub fn of(&mut self, document: &Document, why: &str) {
        if self.counted.insert(document.place.clone()) {
            not_understood(&document.plural()).inc();
        }
        self.say(format!("{}: {why}", document.place));
    }

    /// A part of a file cannot be read at all.
    pub fn unreadable(&mut self, line: String) {
        not_understood("unknown").inc();
        self.say(line);
    }

    /// Something that concerns no single object.
    pub fn say(&mut self, mut line: String) {
        if line.len() > LINE {
            line.truncate(line.floor_char_boundary(LINE));
            line.push('…');
        }
        if self.said.insert(line.clone()) {
            self.lines.push(line);
        }
    }

    /// A line for each.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// Octets of a line, most of which are what an object holds.
const LINE: usize = 500;
