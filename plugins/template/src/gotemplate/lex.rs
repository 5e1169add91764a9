//! Text and actions, and the words of actions.

use super::Place;

/// A mistake, and the line it is in.
#[derive(Debug)]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// Go's words.
    pub words: String,
}

/// A piece of a template: text, or the words between two pairs of braces.
pub enum Piece<'a> {
    Text(&'a str),
    Action(Vec<Word<'a>>),
}

/// A word of an action.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    /// What it is.
    pub kind: Kind,
    /// As it is written.
    pub text: &'a str,
    /// Where it begins, in octets from the start of the template.
    pub start: usize,
    /// Where it is.
    pub place: Place,
}

/// Kinds of words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `.` alone.
    Dot,
    /// `.Name`
    Field,
    /// `$`, `$name`
    Variable,
    /// A function or a keyword.
    Identifier,
    Number,
    /// `"…"`
    String,
    /// `` `…` ``
    Raw,
    /// `'…'`
    Char,
    Pipe,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Comma,
    Open,
    Close,
    /// Blanks: they separate arguments.
    Space,
}

/// Takes a template apart.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Mistake> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(open) = text[at..].find("{{").map(|i| at + i) {
        let begins = open + 2;
        let trims_left = starts_trim(&text[begins..]);
        let before = &text[at..open];
        out.push(Piece::Text(if trims_left { before.trim_end_matches(is_blank) } else { before }));
        let inside = begins + if trims_left { 2 } else { 0 };
        let (action, end) = action(text, inside)?;
        out.extend(action.map(Piece::Action));
        at = end;
    }
    out.push(Piece::Text(&text[at..]));
    Ok(out)
}

/// A template as Go prints it: no blanks but those between words, no comments, no trim markers.
pub fn shown(text: &str) -> String {
    let Ok(pieces) = pieces(text) else { return text.to_owned() };
    pieces.iter().fold(String::new(), |mut out, piece| {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Action(words) => {
                let inside = words.iter().fold(String::new(), |mut inside, word| {
                    let shown = word.shown();
                    inside.push_str(if inside.ends_with(' ') { shown.trim_start_matches(' ') } else { &shown });
                    inside
                });
                out.extend(["{{", inside.trim(), "}}"]);
            }
        }
        out
    })
}

impl Word<'_> {
    fn shown(&self) -> String {
        match self.kind {
            Kind::Space => " ".into(),
            Kind::Pipe | Kind::Declare | Kind::Assign => format!(" {} ", self.text),
            _ => self.text.into(),
        }
    }
}

/// `- ` behind the opening braces.
fn starts_trim(rest: &str) -> bool {
    let mut letters = rest.chars();
    letters.next() == Some('-') && letters.next().is_some_and(is_blank)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The words of the action that begins at `at`, and where the text goes on behind it. A comment has no words.
fn action(text: &str, at: usize) -> Result<(Option<Vec<Word<'_>>>, usize), Mistake> {
    if text[at..].starts_with("/*") {
        let unclosed = || mistake(text, at, "unclosed comment");
        let end = at + text[at..].find("*/").ok_or_else(unclosed)? + 2;
        let behind = closing(text, end).ok_or_else(|| mistake(text, at, "comment ends before closing delimiter"))?;
        return Ok((None, behind));
    }
    let (mut words, mut at) = (Vec::new(), at);
    loop {
        if let Some(behind) = closing(text, at) {
            return Ok((Some(words), behind));
        }
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { return Err(mistake(text, at, "unclosed action")) };
        let (kind, len) = word(rest, first).map_err(|words| mistake(text, at, &words))?;
        words.push(Word { kind, text: &rest[..len], start: at, place: place(text, at) });
        at += len;
    }
}

/// Where the text goes on behind the closing braces at `at`, perhaps with a trim marker; `None` where there are none.
fn closing(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    if rest.starts_with("}}") {
        return Some(at + 2);
    }
    let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
    let trims = blanks > 0 && rest[blanks..].starts_with("-}}");
    trims.then(|| {
        let behind = at + blanks + 3;
        text.len() - text[behind..].trim_start_matches(is_blank).len()
    })
}

/// Kind and octets of the word that `rest` begins with.
fn word(rest: &str, first: char) -> Result<(Kind, usize), String> {
    let run = |skip: usize, ok: fn(char) -> bool| {
        skip + rest[skip..].chars().take_while(|&c| ok(c)).map(char::len_utf8).sum::<usize>()
    };
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    let second = rest[first.len_utf8()..].chars().next();
    Ok(match first {
        c if is_blank(c) => (Kind::Space, run(0, is_blank)),
        '|' => (Kind::Pipe, 1),
        ',' => (Kind::Comma, 1),
        '(' => (Kind::Open, 1),
        ')' => (Kind::Close, 1),
        ':' if second == Some('=') => (Kind::Declare, 2),
        ':' => return Err("expected :=".into()),
        '=' => (Kind::Assign, 1),
        '"' => (Kind::String, quoted(rest, '"').ok_or("unterminated quoted string")?),
        '\'' => (Kind::Char, quoted(rest, '\'').ok_or("unterminated character constant")?),
        '`' => (Kind::Raw, rest[1..].find('`').ok_or("unterminated raw quoted string")? + 2),
        '$' => (Kind::Variable, run(1, letter)),
        '.' if second.is_some_and(|c| c.is_ascii_digit()) => (Kind::Number, run(1, number_letter)),
        '.' if second.is_some_and(letter) => (Kind::Field, run(1, letter)),
        '.' => (Kind::Dot, 1),
        '+' | '-' if second.is_some_and(|c| c.is_ascii_digit() || c == '.') => (Kind::Number, run(1, number_letter)),
        c if c.is_ascii_digit() => (Kind::Number, run(0, number_letter)),
        c if letter(c) => (Kind::Identifier, run(0, letter)),
        c if c.is_ascii_graphic() => return Err(format!("unexpected \"{c}\" in command")),
        c => return Err(format!("unrecognized character in action: U+{:04X}", u32::from(c))),
    })
}

fn number_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.' || c == '_'
}

/// Octets of a quoted constant; `None` where it does not end on its line.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(i + c.len_utf8()),
            _ => (),
        }
    }
    None
}

fn place(text: &str, at: usize) -> Place {
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    Place { line: 1 + before.matches('\n').count(), column: at - start }
}

/// A mistake at `at`.
pub fn mistake(text: &str, at: usize, words: &str) -> Mistake {
    Mistake { line: place(text, at.min(text.len())).line, words: words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_shown_as_go_shows_them() {
        for (text, want) in [
            ("{{ .Nope.Nope }} 60 IN A 10.0.0.1", "{{.Nope.Nope}} 60 IN A 10.0.0.1"),
            ("a {{- /* c */ -}} b {{ $y:=.Z|not }}{{end -}} \n", "ab {{$y := .Z | not}}{{end}}"),
            ("{{if  eq .X \"a  b\" }}x", "{{if eq .X \"a  b\"}}x"),
            ("no template", "no template"),
        ] {
            assert_eq!(shown(text), want);
        }
    }
}
