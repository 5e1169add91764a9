//! A mistake or a warning at its place.

use super::texts::{Located, Texts};
use api::corefile::ConfigError;
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The server does not start.
    Error,
    /// The server starts, and does something else than is meant.
    Warning,
}

/// What is wrong, and where.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// The kind of finding, a word that stays.
    pub code: &'static str,
    pub file: Option<String>,
    pub line: Option<u32>,
    /// The character of the line, from 1.
    pub column: Option<u32>,
    /// CoreDNS's words where it has some.
    pub message: String,
    /// What may be meant, or what to do.
    pub help: Option<String>,
    /// The imports that brought it there, the innermost first.
    pub imported_from: Vec<Import>,
    /// The line in the file.
    #[serde(skip)]
    pub text: Option<String>,
}

/// The place of an import.
#[derive(Debug, Serialize)]
pub struct Import {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl Finding {
    /// What `mistake` says, at the place that people know.
    pub fn new(severity: Severity, mistake: &ConfigError, texts: &mut Texts) -> Finding {
        let located = mistake.place.as_ref().map(|place| texts.locate(place));
        let (file, line, column, text) = match located {
            Some(Located { file, line, column, text }) => (Some(file), Some(line), Some(column), text),
            None => (Some(texts.main().to_owned()), None, None, None),
        };
        let imports = std::iter::successors(mistake.via.as_ref(), |import| import.via.as_ref()).take(MAX_IMPORTS);
        let imported_from = imports
            .map(|import| {
                let Located { file, line, column, .. } = texts.locate(&import.place);
                Import { file, line, column }
            })
            .collect();
        let (code, message, help) = (mistake.code, mistake.words(), mistake.help.as_deref().map(str::to_owned));
        Finding { severity, code, file, line, column, message, help, imported_from, text }
    }

    /// A file that cannot be read.
    pub fn unreadable(file: &str, why: String) -> Finding {
        Finding {
            severity: Severity::Error,
            code: "unreadable",
            file: Some(file.to_owned()),
            line: None,
            column: None,
            message: why,
            help: None,
            imported_from: Vec::new(),
            text: None,
        }
    }
}

/// Imports of a chain that are told.
const MAX_IMPORTS: usize = 20;
