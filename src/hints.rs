//! What may be meant by a word that is no directive or no property: for the mistakes of a start and of `poddns check`.

use crate::plugins::{Row, Table};
use api::corefile::{ConfigError, Token};
use std::ops::Range;

/// Adds what may be meant by a directive that does not exist.
pub fn of_directive(table: &Table, mistake: ConfigError) -> ConfigError {
    if mistake.code != "unknown-directive" {
        return mistake;
    }
    let help = misspelt_directive(table, &mistake.word);
    help.map(|help| mistake.clone().help(help)).unwrap_or(mistake)
}

fn misspelt_directive(table: &Table, word: &str) -> Option<String> {
    let names = || table.0.iter().map(Row::name);
    let known = |word: &str| names().any(|name| name == word);
    if let Some(name) = word.strip_suffix('{').filter(|name| known(name)) {
        return Some(format!("a blank is missing: '{name} {{'"));
    }
    if let Some(property) = closest(word, properties(table).map(|(_, property)| property)).filter(|p| *p == word) {
        let owners = properties(table).filter(|(_, p)| *p == property).map(|(name, _)| format!("'{name}'"));
        return Some(format!(
            "it is a property and stands in the braces of {}",
            owners.collect::<Vec<_>>().join(" or ")
        ));
    }
    if let Some(name) = closest(word, names()) {
        return Some(format!("did you mean '{name}'?"));
    }
    let zone = word.contains(['.', ':', '/']) || word == "{";
    zone.then(|| "if a server block begins here, a '}' is missing in front of it".to_owned())
}

/// All properties with the directives that have them.
fn properties(table: &Table) -> impl Iterator<Item = (&'static str, &'static str)> {
    let built = table.0.iter().filter_map(|row| match row {
        Row::Built(def) => Some(*def),
        Row::NotYet(_) => None,
    });
    built.flat_map(|def| def.properties.iter().map(|property| (def.name, *property)))
}

/// Says of a mistake that set-up found whether it is a property that does not exist, and what may be meant by it; `tokens` are
/// those of the directive.
pub fn of_property(table: &Table, row: &Row, tokens: &[Token], mistake: ConfigError) -> ConfigError {
    let Row::Built(def) = row else { return mistake };
    let Some(word) = property_at(tokens, &mistake).filter(|word| !def.properties.contains(&&*word.text)) else {
        return mistake;
    };
    if def.properties.is_empty() || !mistake.words().contains(&*word.text) {
        return mistake;
    }
    let help = if let Some(property) = closest(&word.text, def.properties.iter().copied()) {
        format!("did you mean '{property}'?")
    } else if table.0.iter().any(|row| row.name() == &*word.text) {
        format!("'{}' is a directive: a '}}' is missing in front of it", word.text)
    } else {
        format!("'{}' knows {}", def.name, def.properties.join(", "))
    };
    mistake.about(word).coded("unknown-property").help(help)
}

/// Leaves out the line in the directive's braces that has a mistake; `false` where it is in none.
pub fn leave_line_out(tokens: &mut Vec<Token>, mistake: &ConfigError) -> bool {
    let Some(line) = line_of(tokens, mistake) else { return false };
    tokens.drain(line);
    true
}

/// The first word of the line in the directive's braces where a mistake is.
fn property_at<'a>(tokens: &'a [Token], mistake: &ConfigError) -> Option<&'a Token> {
    line_of(tokens, mistake).map(|line| &tokens[line.start])
}

/// Which tokens are the line in the directive's braces where a mistake is.
fn line_of(tokens: &[Token], mistake: &ConfigError) -> Option<Range<usize>> {
    let at = tokens.iter().position(|token| mistake.place.as_ref() == Some(&token.place()))?;
    let (mut inside, mut start) = (false, None);
    for (i, token) in tokens.iter().enumerate() {
        let begins = i.checked_sub(1).is_none_or(|i| tokens[i].line != token.line || tokens[i].file != token.file);
        let begins = begins || start.is_none();
        if i > at && (!inside || begins || &*token.text == "}") {
            return start.map(|start| start..i);
        }
        match &*token.text {
            "{" if !inside => inside = true,
            "}" if inside => (inside, start) = (false, None),
            _ if inside && begins => start = Some(i),
            _ => (),
        }
    }
    None
}

/// The word that is as `word` but for a few letters, or begins and goes on much like it.
fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = (lower.chars().count() / 3).max(1);
    let near = |name: &str| match strsim::osa_distance(&lower, name) {
        distance if distance <= allowed => Some(distance),
        distance => (strsim::jaro_winkler(&lower, name) >= ALIKE).then_some(distance),
    };
    known.filter_map(|name| Some((near(name)?, name))).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// From which similarity on (0 to 1) longer words are meant: `fallthru` is `fallthrough`, `tls_server` is `tls_servername`.
const ALIKE: f64 = 0.88;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::standard;

    #[test]
    fn words_that_are_meant() {
        let table = standard();
        for (word, want) in [
            ("fowrard", "did you mean 'forward'?"),
            ("Kubernetes", "did you mean 'kubernetes'?"),
            ("prometeus", "did you mean 'prometheus'?"),
            ("kube", "did you mean 'kubernetes'?"),
            ("lod", "did you mean 'log'?"),
            ("cache{", "a blank is missing: 'cache {'"),
            ("lameduck", "it is a property and stands in the braces of 'health'"),
            (
                "fallthrough",
                "it is a property and stands in the braces of 'template' or 'hosts' or 'k8s_external' or 'kubernetes'",
            ),
            ("example.org", "if a server block begins here, a '}' is missing in front of it"),
        ] {
            assert_eq!(misspelt_directive(&table, word).as_deref(), Some(want), "{word}");
        }
        assert_eq!(misspelt_directive(&table, "somethingelse"), None);
    }
}
