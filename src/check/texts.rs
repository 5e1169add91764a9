//! What is checked, and where a place in it is for people: the texts of Corefiles, of what they import, and of ConfigMaps.

use super::configmap::{self, Value};
use crate::source;
use api::corefile::{Place, Source};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The texts that places are in, by the name that the parser knows.
pub struct Texts {
    main: String,
    known: HashMap<Arc<str>, Text>,
}

/// A text, and where it stands in a file.
struct Text {
    /// The file, for people.
    file: String,
    /// All lines of that file.
    lines: Vec<String>,
    /// Lines of the file in front of the text.
    before: u32,
    /// Characters in front of each of its lines.
    indent: u32,
}

/// A place for people.
pub struct Located {
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// The line, where it could be read.
    pub text: Option<String>,
}

/// Reads a Corefile, or a ConfigMap that holds one; `-` is standard input.
///
/// # Errors
/// It cannot be read, or is a ConfigMap without a Corefile.
pub fn load(file: &str) -> Result<(Source, Texts), String> {
    let unreadable = |why: String| {
        // What CoreDNS says in front, of a loader that only it has.
        let why = why.strip_prefix("loading Caddyfile via flag: ").unwrap_or(&why);
        why.to_owned()
    };
    let source = if file == STDIN { source::stdin() } else { source::read(file) }.map_err(unreadable)?;
    let text = String::from_utf8_lossy(&source.text).into_owned();
    if !configmap::is_one(&text) {
        let texts = Texts::new(shown(file), source.name.clone(), Text::of(shown(file), &text));
        return Ok((source, texts));
    }
    let values = configmap::read(&text)?;
    Ok(of_config_map(shown(file), &text, values))
}

/// The Corefile of a ConfigMap; its other values can be imported as files that stand beside it.
fn of_config_map(file: &str, text: &str, values: Vec<Value>) -> (Source, Texts) {
    let folder = std::path::absolute(file).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
    let (mut main, mut beside) = (None, Vec::new());
    let mut texts = Texts { main: String::new(), known: HashMap::new() };
    for value in values {
        let path = folder.join(&value.key);
        let name: Arc<str> = path.to_string_lossy().into();
        let stands = match value.stands {
            Some(at) => Text { before: at.line, indent: at.indent, ..Text::of(file, text) },
            None => Text::of(&format!("{file} (key {})", value.key), &value.text),
        };
        if value.key == configmap::COREFILE {
            texts.main.clone_from(&stands.file);
            main = Some(Source::new(&name, &value.text));
        } else {
            beside.push((path, value.text.into_bytes()));
        }
        texts.known.insert(name, stands);
    }
    let main = main.unwrap_or_else(|| Source::new(file, ""));
    (Source { beside: beside.into(), ..main }, texts)
}

impl Texts {
    fn new(file: &str, name: Arc<str>, text: Text) -> Texts {
        Texts { main: file.to_owned(), known: HashMap::from([(name, text)]) }
    }

    /// The file that is checked, as places in it name it.
    pub fn main(&self) -> &str {
        &self.main
    }

    /// The place for people; what is imported is read for it.
    pub fn locate(&mut self, place: &Place) -> Located {
        let text = self.known.entry(place.file.clone()).or_insert_with(|| {
            let read = source::read(&place.file).map(|source| source.text).unwrap_or_default();
            Text::of(&place.file, &String::from_utf8_lossy(&read))
        });
        let (line, column) = (place.line + text.before, place.column + text.indent);
        Located { file: text.file.clone(), line, column, text: text.lines.get(line as usize - 1).cloned() }
    }
}

impl Text {
    /// A text that is a file.
    fn of(file: &str, text: &str) -> Text {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Text { file: file.to_owned(), lines: text.lines().map(str::to_owned).collect(), before: 0, indent: 0 }
    }
}

/// What a file is called for people.
pub fn shown(file: &str) -> &str {
    if file == STDIN { "stdin" } else { file }
}

/// The name of standard input on the command line.
const STDIN: &str = "-";
