//! A finding for people: what it is, the line with its place marked, what may be meant.

use super::finding::{Finding, Severity};
use annotate_snippets::{
    AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str as plain,
};
use std::io::IsTerminal;
use std::ops::Range;

/// The picture of a finding, with colours where a terminal shows it.
pub fn of(finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&finding.message).id(finding.code));
    if let Some(place) = place(finding) {
        group = group.element(place);
    }
    for import in &finding.imported_from {
        let words = format!("imported from {}:{}:{}", plain(&import.file), import.line, import.column);
        group = group.element(Level::NOTE.message(words));
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(plain(help)));
    }
    renderer().render(&[group])
}

fn place(finding: &Finding) -> Option<Element<'_>> {
    let file = finding.file.as_deref()?;
    let (Some(line), Some(column)) = (finding.line, finding.column) else { return Some(Origin::path(file).into()) };
    let short = finding.text.as_deref().filter(|text| text.len() <= MAX_LINE);
    Some(match short {
        Some(text) => Snippet::source(text)
            .line_start(line as usize)
            .path(file)
            .annotation(AnnotationKind::Primary.span(word(text, column)))
            .into(),
        None => Origin::path(file).line(line as usize).char_column(column as usize).into(),
    })
}

/// Where in a line the word begins and ends that stands at a column.
fn word(line: &str, column: u32) -> Range<usize> {
    let start = line.char_indices().nth(column.saturating_sub(1) as usize).map_or(line.len(), |(at, _)| at);
    let rest = &line[start..];
    let length = match rest.strip_prefix('"') {
        Some(quoted) => quoted.find('"').map(|end| end + 2),
        None => rest.find(|c: char| c.is_whitespace() || c == '#'),
    };
    start..start + length.unwrap_or(rest.len())
}

/// As people want it: no colours where they are not seen, or not wanted (no-color.org).
fn renderer() -> Renderer {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    if colours { Renderer::styled() } else { Renderer::plain() }
}

/// Octets of the longest line that is shown.
const MAX_LINE: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_line() {
        for (line, column, want) in [
            ("  forward . 1.1.1.1", 3, "forward"),
            ("\u{e9} x# y", 3, "x"),
            ("log \"a b\" c", 5, "\"a b\""),
            ("log \"a b", 5, "\"a b"),
            ("log", 4, ""),
            ("log", 9, ""),
        ] {
            assert_eq!(&line[word(line, column)], want, "{line} {column}");
        }
    }
}
