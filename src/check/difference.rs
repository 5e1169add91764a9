//! What two configurations do differently: server blocks by their addresses, directives by name, whatever their order in the file.

use annotate_snippets::normalize_untrusted_str;
use api::corefile::{Corefile, ServerBlock, Token, word};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Something that is different.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub change: Change,
    /// The addresses of the server block, as they are served.
    pub block: String,
    /// The directive; `None` for the block as a whole.
    pub directive: Option<String>,
    /// Lines that are no longer there.
    pub removed: Vec<String>,
    /// Lines that are new.
    pub added: Vec<String>,
}

/// What has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Added,
    Removed,
    Changed,
    /// The same lines of a directive, whose order may count.
    Reordered,
}

/// What `new` does otherwise than `old`.
pub fn between(old: &Corefile, new: &Corefile) -> Vec<Difference> {
    let mut gone: Vec<&ServerBlock> = old.blocks.iter().collect();
    let mut pairs = Vec::new();
    // First those with the same addresses, in their order (views may share them), then those that share some.
    for alike in [same_addresses, share_addresses] {
        for block in &new.blocks {
            let known = pairs.iter().any(|(_, known)| std::ptr::eq(*known, block));
            if let Some(at) = gone.iter().position(|before| !known && alike(before, block)) {
                pairs.push((gone.remove(at), block));
            }
        }
    }
    let mut found: Vec<Difference> = gone.iter().map(|block| whole(block, Change::Removed)).collect();
    for block in &new.blocks {
        match pairs.iter().find(|(_, known)| std::ptr::eq(*known, block)) {
            Some((before, _)) => found.extend(of_blocks(before, block)),
            None => found.push(whole(block, Change::Added)),
        }
    }
    found
}

/// The differences for people.
pub fn shown(differences: &[Difference]) -> String {
    let mut text = String::new();
    let mut block = None;
    for found in differences {
        // Writing to a string cannot fail.
        if found.directive.is_none() {
            let sign = if found.change == Change::Removed { '-' } else { '+' };
            let sign = if found.change == Change::Changed { '~' } else { sign };
            let _ = writeln!(text, "  {sign} {}", found.block);
            block = Some(&found.block);
        } else if block != Some(&found.block) {
            let _ = writeln!(text, "  ~ {}", found.block);
            block = Some(&found.block);
        }
        if found.change == Change::Reordered {
            let _ =
                writeln!(text, "      ~ {}: the same lines in another order", found.directive.as_deref().unwrap_or(""));
        }
        for (sign, lines) in [('-', &found.removed), ('+', &found.added)] {
            for line in lines {
                let _ = writeln!(text, "      {sign} {}", normalize_untrusted_str(line));
            }
        }
    }
    text
}

fn same_addresses(a: &ServerBlock, b: &ServerBlock) -> bool {
    addresses(a) == addresses(b)
}

fn share_addresses(a: &ServerBlock, b: &ServerBlock) -> bool {
    let others = addresses(b);
    addresses(a).iter().any(|address| others.contains(address))
}

fn addresses(block: &ServerBlock) -> Vec<String> {
    let mut all: Vec<String> = block.keys.iter().map(ToString::to_string).collect();
    all.sort_unstable();
    all
}

fn whole(block: &ServerBlock, change: Change) -> Difference {
    let lines: Vec<String> = directives(block).into_values().flatten().collect();
    let (removed, added) = if change == Change::Removed { (lines, Vec::new()) } else { (Vec::new(), lines) };
    Difference { change, block: addresses(block).join(" "), directive: None, removed, added }
}

fn of_blocks(old: &ServerBlock, new: &ServerBlock) -> Vec<Difference> {
    let block = addresses(new).join(" ");
    let (before, after) = (addresses(old), addresses(new));
    let mut found = Vec::new();
    if before != after {
        let (removed, added) = (without(&before, &after), without(&after, &before));
        found.push(Difference { change: Change::Changed, block: block.clone(), directive: None, removed, added });
    }
    let (before, after) = (directives(old), directives(new));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let none = Vec::new();
        let (lines, others) = (old.unwrap_or(&none), new.unwrap_or(&none));
        if lines == others {
            continue;
        }
        let (removed, added) = (without(lines, others), without(others, lines));
        let change = match (old, new) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ if removed.is_empty() && added.is_empty() => Change::Reordered,
            _ => Change::Changed,
        };
        found.push(Difference { change, block: block.clone(), directive: Some(name.clone()), removed, added });
    }
    found
}

/// What of `lines` is not in `others`, each as often as it is there more.
fn without(lines: &[String], others: &[String]) -> Vec<String> {
    let mut others: Vec<&String> = others.iter().collect();
    let mut left = Vec::new();
    for line in lines {
        match others.iter().position(|other| *other == line) {
            Some(at) => drop(others.swap_remove(at)),
            None => left.push(line.clone()),
        }
    }
    left
}

/// The lines of each directive: what stands in braces behind the line that opens them, as `LINE { PROPERTY }`.
fn directives(block: &ServerBlock) -> BTreeMap<String, Vec<String>> {
    block.directives().map(|(name, tokens)| (name.to_owned(), lines(tokens))).collect()
}

fn lines(tokens: &[Token]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let (mut head, mut inside) = (String::new(), false);
    for (i, token) in tokens.iter().enumerate() {
        let begins = i.checked_sub(1).is_none_or(|i| tokens[i].line != token.line || tokens[i].file != token.file);
        let word = word(&token.text).into_owned();
        match &*token.text {
            "{" if !inside => inside = true,
            "}" if inside => inside = false,
            _ if inside && (begins || &*tokens[i - 1].text == "{") => all.push(format!("{head} {{ {word} }}")),
            _ if begins || all.is_empty() => {
                all.push(word.clone());
                head = word;
            }
            _ => {
                let Some(last) = all.last_mut() else { continue };
                match last.strip_suffix(" }").filter(|_| inside) {
                    Some(open) => *last = format!("{open} {word} }}"),
                    None => *last = format!("{last} {word}"),
                }
                if !inside {
                    head.clone_from(last);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::corefile::Source;

    fn between(old: &str, new: &str) -> String {
        let parse = |text: &str| Corefile::parse(&Source::new("f", text), "53", &|_| true, &|_| None).unwrap();
        shown(&super::between(&parse(old), &parse(new)))
    }

    #[test]
    fn what_makes_no_difference() {
        let old = "# c\na b {\n errors\n cache 5 {\n  success 1\n }\n}\nc {\n log \"x y\"\n}\n";
        let new = "c {\n  log \"x y\" # d\n}\nb a:53 {\n cache 5 { success 1\n }\n errors\n}\n";
        assert_eq!(between(old, new), "");
    }

    #[test]
    fn what_makes_one() {
        let old = "a {\n errors\n cache 5 {\n  success 1\n  denial 2 3\n }\n forward . 1\n forward b 2\n}\nb c {\n whoami\n}\nd {\n}\n";
        let new = "a {\n cache 5 {\n  success 1\n  denial 2 4\n }\n forward b 2\n forward . 1\n log\n}\ne c {\n whoami\n}\nf {\n log \"x y\" \"\"\n}\n";
        let want = "  - dns://d.:53\n  \
                    ~ dns://a.:53\n      \
                    - cache 5 { denial 2 3 }\n      + cache 5 { denial 2 4 }\n      - errors\n      \
                    ~ forward: the same lines in another order\n      + log\n  \
                    ~ dns://c.:53 dns://e.:53\n      - dns://b.:53\n      + dns://e.:53\n  \
                    + dns://f.:53\n      + log \"x y\" \"\"\n";
        assert_eq!(between(old, new), want);
    }
}
