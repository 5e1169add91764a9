//! Which page a path means.

/// The path that a client is to ask for instead: without elements that are empty, `.` or `..`; `None` where it has none (as Go's
/// server has it, RFC 3986 5.2.4).
pub fn cleaned(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => (),
            ".." => drop(kept.pop()),
            element => kept.push(element),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    let clean = format!("/{}{end}", kept.join("/"));
    // Browsers take a backslash for a slash, and two slashes for another server.
    (clean != path).then(|| clean.replace('\\', "%5C"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for path in ["/", "/metrics", "/debug/pprof/", "/a..b/.c", "*", ""] {
            assert_eq!(cleaned(path), None, "{path}");
        }
        for (path, clean) in [
            ("//metrics", "/metrics"),
            ("/./health", "/health"),
            ("/x/../ready", "/ready"),
            ("/../..//", "/"),
            ("/debug//pprof/", "/debug/pprof/"),
            ("//\\elsewhere", "/%5Celsewhere"),
        ] {
            assert_eq!(cleaned(path).as_deref(), Some(clean), "{path}");
        }
    }
}
