//! Environment variables in tokens: `{%NAME%}` and `{$NAME}`.

/// Replacements in one token, and octets of its text, before a variable is taken to contain itself.
const MAX_REPLACEMENTS: usize = 1_000;
const MAX_LENGTH: usize = 1 << 20;

/// Reads variables of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// `text` with its variables replaced: first all `{%NAME%}`, then all `{$NAME}`; what a value holds is replaced too.
///
/// # Errors
/// The name of a variable that contains itself.
pub fn replace(text: &str, env: Environment<'_>) -> Result<Option<String>, String> {
    if !text.contains("{%") && !text.contains("{$") {
        return Ok(None);
    }
    let text = pass(text.to_owned(), "{%", "%}", env)?;
    pass(text, "{$", "}", env).map(Some)
}

/// Replaces the variables of one syntax; each result is scanned again from its start.
fn pass(mut text: String, open: &str, close: &str, env: Environment<'_>) -> Result<String, String> {
    for _ in 0..MAX_REPLACEMENTS {
        let Some(start) = text.find(open) else { return Ok(text) };
        let Some(end) = text[start..].find(close).map(|i| start + i) else { return Ok(text) };
        if end <= start + open.len() {
            return Ok(text); // an empty name ends the pass
        }
        let name = text[start + open.len()..end].to_owned();
        let reference = text[start..end + close.len()].to_owned();
        text = text.replace(&reference, &env(&name).unwrap_or_default());
        if text.len() > MAX_LENGTH {
            return Err(name);
        }
    }
    let name = text.find(open).and_then(|i| text[i + open.len()..].split(close).next());
    Err(name.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let env = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "B" => Some("{$A}{%A%}".to_owned()),
            "LOOP" => Some("x{$LOOP}".to_owned()),
            _ => None,
        };
        let replaced = |text: &str| replace(text, &env).map(|t| t.unwrap_or(text.to_owned()));
        for (text, want) in [
            ("plain", "plain"),
            ("x{$A}y{%A%}", "xaya"),
            ("{$UNSET}", ""),
            ("{$A:default}", ""),
            ("{$}{$A}", "{$}{$A}"),
            ("{$A", "{$A"),
            ("{$B}", "a{%A%}"),
            ("{%B%}", "aa"),
            ("{${$A}}", "}"),
        ] {
            assert_eq!(replaced(text), Ok(want.to_owned()), "{text}");
        }
        assert_eq!(replaced("{$LOOP}"), Err("LOOP".to_owned()));
    }
}
