//! What resolv.conf(5) says about search paths.

use crate::name::Name;
use std::io::Read;

/// The domains of the search path in `file`, in their order and in lower case: those of its last `search` or `domain` line. What is no
/// name is left out; what cannot be read holds none.
pub fn search(file: impl Read) -> Vec<Name> {
    let mut text = Vec::new();
    if file.take(MAX_FILE).read_to_end(&mut text).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&text);
    let domains = text.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace();
        match words.next()? {
            "search" => Some(words.take(MAX_DOMAINS).collect()),
            "domain" => Some(words.take(1).collect::<Vec<_>>()),
            _ => None,
        }
    });
    let domains = domains.unwrap_or_default().into_iter();
    domains.filter_map(|domain| Name::from_text(domain).ok()).map(|domain| domain.to_lower()).collect()
}

/// Octets that are read of a file.
const MAX_FILE: u64 = 1 << 20;
/// Domains of a path; a query is asked for each of them.
const MAX_DOMAINS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        let many = format!("search {}", "a.example ".repeat(100));
        for (text, want) in [
            ("", &[][..]),
            ("nameserver 10.0.0.10\nsearch A.example b.example.\noptions ndots:5", &["a.example.", "b.example."]),
            ("search a.example\ndomain b.example c.example", &["b.example."]),
            ("search a..b c.example\n", &["c.example."]),
            ("search a.example\nsearch", &[]),
            (";search a.example\n# search b.example\nsearching c.example", &[]),
            (&many, &["a.example."; 32]),
        ] {
            let found: Vec<String> = search(text.as_bytes()).iter().map(ToString::to_string).collect();
            assert_eq!(found, want, "{text}");
        }
    }
}
