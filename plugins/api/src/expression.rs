//! Regular expressions of directives: RE2's syntax and linear time, like Go's, with Go's words for mistakes, since these are what
//! people search for.

use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{self, Ast, ErrorKind};

pub use regex::{Captures, Regex};

/// The largest count of a repetition (Go's limit).
const MAX_REPEAT: u32 = 1000;

/// Compiles `pattern`.
///
/// # Errors
/// What Go's `regexp` says: `error parsing regexp: …`.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let said = |what: String| format!("error parsing regexp: {what}");
    let mut pattern = unquote(pattern);
    let mut parser = ParserBuilder::new().nest_limit(MAX_REPEAT).build();
    let tree = loop {
        match parser.parse(&pattern) {
            Ok(tree) => break tree,
            Err(e) => match without_duplicate(&pattern, &e) {
                Some(shorter) => pattern = shorter,
                None => return Err(said(words(&pattern, &e))),
            },
        }
    };
    if let Some(fault) = refused_by_go(&pattern, &tree) {
        return Err(said(fault));
    }
    Regex::new(&pattern).map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => said(format!("expression too large: `{pattern}`")),
        other => said(last_line(&other.to_string())),
    })
}

/// The pattern with what stands between `\Q` and `\E` (or the end) taken literally, which the library has not.
fn unquote(pattern: &str) -> String {
    let (mut out, mut rest) = (String::new(), pattern);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        if let Some(quoted) = escape.strip_prefix(r"\Q") {
            let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex_syntax::escape(literal));
            rest = after;
        } else {
            let end = escape.char_indices().nth(2).map_or(escape.len(), |(i, _)| i);
            out.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    out + rest
}

/// The pattern without the name of the first of two groups of the same name: in Go the last one has it.
fn without_duplicate(pattern: &str, e: &ast::Error) -> Option<String> {
    let ErrorKind::GroupNameDuplicate { original } = e.kind() else { return None };
    let (before, after) = (pattern.get(..original.start.offset)?, pattern.get(original.end.offset..)?);
    let open = before.strip_suffix("?P<").or_else(|| before.strip_suffix("?<"))?;
    Some(format!("{open}{}", after.strip_prefix('>')?))
}

/// Go's words for a mistake.
fn words(pattern: &str, e: &ast::Error) -> String {
    let span = e.span();
    let (from, to) = (span.start.offset, span.end.offset);
    let there = pattern.get(from..to).unwrap_or_default();
    let rest = pattern.get(from..).unwrap_or_default();
    match e.kind() {
        ErrorKind::GroupUnclosed => format!("missing closing ): `{pattern}`"),
        ErrorKind::GroupUnopened => format!("unexpected ): `{pattern}`"),
        ErrorKind::ClassUnclosed => format!("missing closing ]: `{rest}`"),
        ErrorKind::ClassRangeInvalid | ErrorKind::ClassRangeLiteral => {
            format!("invalid character class range: `{there}`")
        }
        ErrorKind::RepetitionMissing => format!("missing argument to repetition operator: `{}`", operator(rest)),
        ErrorKind::RepetitionCountInvalid => format!("invalid repeat count: `{there}`"),
        ErrorKind::EscapeUnrecognized | ErrorKind::UnsupportedBackreference => {
            format!("invalid escape sequence: `{there}`")
        }
        ErrorKind::EscapeUnexpectedEof => "trailing backslash at end of expression: ``".to_owned(),
        ErrorKind::UnsupportedLookAround => format!("invalid or unsupported Perl syntax: `{there}`"),
        ErrorKind::FlagUnrecognized | ErrorKind::FlagUnexpectedEof | ErrorKind::GroupNameUnexpectedEof => {
            let open = pattern[..from].rfind("(?").unwrap_or(from);
            format!("invalid or unsupported Perl syntax: `{}`", &pattern[open..to])
        }
        ErrorKind::GroupNameInvalid | ErrorKind::GroupNameEmpty => format!("invalid named capture: `{rest}`"),
        ErrorKind::NestLimitExceeded(_) => format!("expression nests too deeply: `{pattern}`"),
        other => format!("{other}: `{there}`"),
    }
}

/// The repetition operator that `rest` begins with.
fn operator(rest: &str) -> &str {
    let end = rest.char_indices().nth(1).map_or(rest.len(), |(i, _)| i);
    &rest[..end]
}

/// What Go refuses and the library does not: large counts, and a repetition of a repetition.
fn refused_by_go(pattern: &str, tree: &Ast) -> Option<String> {
    match tree {
        Ast::Repetition(r) => {
            let span = r.op.span;
            let text = &pattern[span.start.offset..span.end.offset];
            if largest_count(&r.op.kind).is_some_and(|n| n > MAX_REPEAT) {
                return Some(format!("invalid repeat count: `{text}`"));
            }
            if let Ast::Repetition(inner) = &*r.ast {
                let text = &pattern[inner.op.span.start.offset..span.end.offset];
                return Some(format!("invalid nested repetition operator: `{text}`"));
            }
            refused_by_go(pattern, &r.ast)
        }
        Ast::Group(g) => refused_by_go(pattern, &g.ast),
        Ast::Alternation(a) => a.asts.iter().find_map(|ast| refused_by_go(pattern, ast)),
        Ast::Concat(c) => c.asts.iter().find_map(|ast| refused_by_go(pattern, ast)),
        _ => None,
    }
}

fn largest_count(kind: &ast::RepetitionKind) -> Option<u32> {
    let ast::RepetitionKind::Range(range) = kind else { return None };
    Some(match range {
        ast::RepetitionRange::Exactly(n) | ast::RepetitionRange::AtLeast(n) => *n,
        ast::RepetitionRange::Bounded(low, high) => *low.max(high),
    })
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn mistakes_in_the_words_of_go() {
        for (pattern, words) in [
            ("(", "missing closing ): `(`"),
            (r"db\.(.*", r"missing closing ): `db\.(.*`"),
            ("a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
            ("*", "missing argument to repetition operator: `*`"),
            (r"(?P<x>a)\1", r"invalid escape sequence: `\1`"),
            (r"\C", r"invalid escape sequence: `\C`"),
            ("x[a", "missing closing ]: `[a`"),
            ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a)", "unexpected ): `a)`"),
        ] {
            assert_eq!(compile(pattern).err(), Some(format!("error parsing regexp: {words}")), "{pattern}");
        }
    }

    #[test]
    fn what_go_takes() {
        for pattern in ["", ".*", r"\p{Greek}", r"(?i)^(?P<a>[a-z]+)\.(?:b|c)$", "[[:alpha:]]+?", "a{0,1000}"] {
            assert!(compile(pattern).is_ok(), "{pattern}");
        }
        assert!(compile(r"^\Qa.b\E[.]$").unwrap().is_match("a.b.") && compile(r"\Q(").unwrap().is_match("("));
        let twice = compile("(?P<x>a)(?P<x>b)").unwrap();
        assert_eq!(&twice.captures("ab").unwrap()["x"], "b");
    }
}
