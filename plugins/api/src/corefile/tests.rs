//! The language as a whole: what parses to what, in which words it is refused, and that hostile texts end soon.

use super::*;

const DIRECTIVES: [&str; 4] = ["bind", "errors", "hosts", "whoami"];

fn env(name: &str) -> Option<String> {
    match name {
        "OPEN" => Some("{".to_owned()),
        "TWO" => Some("a b".to_owned()),
        "LOOP" => Some("x{$LOOP}".to_owned()),
        _ => None,
    }
}

fn parse(text: impl AsRef<[u8]>) -> Result<Corefile, Vec<ConfigError>> {
    Corefile::parse(&Source::new("f", text), "53", &|name| DIRECTIVES.contains(&name), &env)
}

fn mistakes(text: impl AsRef<[u8]>) -> Vec<String> {
    parse(text).expect_err("it has mistakes").iter().map(ToString::to_string).collect()
}

/// `KEY KEY: directive=word,word`, blocks separated by `; `.
fn shown(corefile: &Corefile) -> String {
    let block = |block: &ServerBlock| {
        let keys: Vec<String> = block.keys.iter().map(ToString::to_string).collect();
        let words = |tokens: &[Token]| tokens[1..].iter().map(|t| t.text.to_string()).collect::<Vec<_>>().join(",");
        let directives = block.directives.iter().map(|(name, tokens)| format!(" {name}={}", words(tokens)));
        format!("{}:{}", keys.join(" "), directives.collect::<String>())
    };
    corefile.blocks.iter().map(block).collect::<Vec<_>>().join("; ")
}

#[test]
fn what_is_understood() {
    for (text, want) in [
        ("", ""),
        ("# nothing", ""),
        ("a.org", "dns://a.org.:53:"),
        ("a.org {\n}\nb.org {\n}", "dns://a.org.:53:; dns://b.org.:53:"),
        ("a.org, b.org,\n tls://c.org {\n}", "dns://a.org.:53 dns://b.org.:53 tls://c.org.:853:"),
        ("a.org\nerrors x\nwhoami", "dns://a.org.:53: errors=x whoami="),
        (". { errors a#b c\n}", "dns://.:53: errors=a,c"),
        (". {\n errors \"a \\\" b\"\"\"\n}", "dns://.:53: errors=a \" b,"),
        (". {\n hosts\n {\n ttl 5\n }\n}", "dns://.:53: hosts={,ttl,5,}"),
        (". {\n errors 1\n whoami\n errors 2\n}", "dns://.:53: errors=1,errors,2 whoami="),
        ("(s) {\n errors\n}\n. {\n import s\n}", "dns://.:53: errors="),
        (". {\n errors {$TWO} {$UNSET}\n}", "dns://.:53: errors=a b,"),
        ("10.0.0.0/23 a", "dns://0.0.10.in-addr.arpa.:53 dns://a.:53 dns://1.0.10.in-addr.arpa.:53:"),
        ("{\n whoami\n}", ""),
        (". {\n hosts {\n }", "dns://.:53: hosts={,}"),
    ] {
        assert_eq!(parse(text).map(|c| shown(&c)).map_err(|e| e[0].to_string()), Ok(want.to_owned()), "{text}");
    }
}

#[test]
fn what_is_refused() {
    for (text, want) in [
        (". {\n nosuch\n}", "f:2 - Error during parsing: Unknown directive 'nosuch'"),
        (". {\n whoami", "f:2 - Syntax error: Unexpected token 'whoami', expecting '}'"),
        (". { whoami }", "f:1 - Error during parsing: Unexpected '}' because no matching opening brace"),
        (". {\n hosts {", "f:2 - Error during parsing: Unexpected EOF"),
        (". {\n {$OPEN}\n}", "f:2 - Error during parsing: Unknown directive '{'"),
        (". {\n errors {$LOOP}\n}", "f:2 - Error during parsing: environment variable 'LOOP' contains itself"),
        ("a, {\n}", "f:1 - Error during parsing: Expected another address but had '{' - check for extra comma"),
        ("a,", "f:1 - Error during parsing: Unexpected EOF"),
        ("a..b", "f:1 - error inspecting server blocks: zone is not a valid domain name: a..b"),
        ("(s) {\n}\n(s) {\n}", "f:3 - Error during parsing: redeclaration of previously declared snippet s"),
        ("(s)\nerrors", "f:2 - Syntax error: Unexpected token 'errors', expecting '{'"),
        ("(s) {\n import s\n}", "f:3 - Error during parsing: maximum snippet import depth (10000) exceeded"),
        ("import nosuch", "f:1 - Error during parsing: File to import not found: nosuch"),
        ("import", "f:1 - Error during parsing: Wrong argument count or unexpected line ending after 'import'"),
    ] {
        assert_eq!(mistakes(text)[0].lines().next(), Some(want), "{text}");
    }
}

#[test]
fn all_mistakes_are_reported() {
    let text = "a..b {\n nosuch x {\n  y\n }\n whoami\n import nowhere\n}\nb.org {\n neither }\n}\nc..d {\n errors }\n";
    let want = [
        "f:2 - Error during parsing: Unknown directive 'nosuch'",
        "f:6 - Error during parsing: File to import not found: nowhere",
        "f:9 - Error during parsing: Unknown directive 'neither'",
        "f:12 - Error during parsing: Unexpected '}' because no matching opening brace\n  a closing brace stands on a line of \
         its own",
        "f:1 - error inspecting server blocks: zone is not a valid domain name: a..b",
        "f:11 - error inspecting server blocks: zone is not a valid domain name: c..d",
    ];
    assert_eq!(mistakes(text), want);
}

#[test]
fn reading_goes_on_behind_a_mistake() {
    let text = "a, {\n import\n errors\n}\n(s) {\n}\n(s) {\n nosuch\n}\n(t)\nerrors {\n}\nimport x y\nb {\n import \"\"\n hosts {\n";
    let want = [
        "f:1 - Error during parsing: Expected another address but had '{' - check for extra comma",
        "f:2 - Error during parsing: Wrong argument count or unexpected line ending after 'import'",
        "f:7 - Error during parsing: redeclaration of previously declared snippet s",
        "f:11 - Syntax error: Unexpected token 'errors', expecting '{'",
        "f:13 - Error during parsing: Import takes only one argument (glob pattern or file)",
        "f:15 - Error during parsing: Import requires a non-empty filepath",
        "f:16 - Error during parsing: Unexpected EOF\n  nothing closes the '{' of f:16",
        "f:16 - Syntax error: Unexpected token '{', expecting '}'\n  nothing closes the '{' of f:14",
    ];
    assert_eq!(mistakes(text), want);
    let (corefile, _) = Corefile::read(&Source::new("f", text), "53", &|_| true, &env);
    assert_eq!(shown(&corefile), "dns://a.:53: errors=; dns://b.:53:");
}

#[test]
fn places_have_columns() {
    let text = "\u{feff}a {\n\terrors \"x\" \u{e9}y # c\n  hosts {\n }\n}\nb c";
    let corefile = parse(text).expect("no mistakes");
    let words = corefile
        .blocks
        .iter()
        .flat_map(|b| b.keys.iter().map(|k| &k.token).chain(b.directives.iter().flat_map(|d| &d.1)));
    let places: Vec<_> = words.map(|t| (t.line, t.column)).collect();
    assert_eq!(places, [(1, 1), (2, 2), (2, 9), (2, 13), (3, 3), (3, 9), (4, 2), (6, 1), (6, 3)]);
}

#[test]
fn a_mistake_tells_how_it_was_imported() {
    let text = "(a) {\n nosuch\n}\n(b) {\n import a\n}\n. {\n import b\n}\n";
    let want = "f:2 - Error during parsing: Unknown directive 'nosuch'\n  imported from f:5\n  imported from f:8";
    assert_eq!(mistakes(text), [want]);
}

#[test]
fn what_is_surely_not_meant_is_warned_of() {
    for (text, warnings) in [
        ("a.org:53 10.0.0.0/8 2001:db8::/32", 0),
        ("DNS://a.org", 1),
        ("a.org:x", 1),
        ("10.0.0.0/33", 1),
        ("a.org{", 1),
        ("a,b", 1),
        ("import nowhere/*\na", 1),
    ] {
        assert_eq!(parse(text).map(|c| c.warnings.len()).map_err(|e| e[0].to_string()), Ok(warnings), "{text}");
    }
}

#[test]
fn overlapping_claims() {
    let check = |text: &str, bind: [Option<&[String]>; 2], filtered: [bool; 2]| {
        let corefile = parse(text).expect("no mistakes");
        let claims = corefile.blocks.iter().enumerate();
        let claims =
            claims.flat_map(|(i, b)| b.keys.iter().map(move |key| Claim { key, bind: bind[i], filtered: filtered[i] }));
        check_overlaps(claims).map_err(|e| e[0].to_string())
    };
    let local: &[String] = &["127.0.0.1".to_owned()];
    let twice = "a {\n}\nA. {\n}";
    let defined = "f:3 - cannot serve dns://a.:53 - it is already defined";
    let bound = "f:3 - cannot serve dns://a.:53 on 127.0.0.1 - zone overlap listener capacity with dns://a.:53";
    let unbound = "f:3 - cannot serve dns://a.:53 - zone overlap listener capacity with dns://a.:53 on 127.0.0.1";
    for (text, bind, filtered, want) in [
        (twice, [None, None], [false, false], Err(defined)),
        (twice, [None, Some(local)], [false, false], Err(bound)),
        (twice, [Some(local), None], [false, false], Err(unbound)),
        (twice, [Some(local), None], [false, true], Err(unbound)),
        (twice, [Some(local), None], [true, false], Ok(())),
        (twice, [None, None], [false, true], Ok(())),
        ("a {\n}\ntls://a:53 {\n}", [None, None], [false, false], Ok(())),
        ("a {\n}\nb:65536 {\n}", [None, None], [false, false], Err("f:3 - address 65536: invalid port")),
        ("a {\n}\nb:65536 {\n}", [None, Some(&[])], [false, false], Ok(())),
    ] {
        assert_eq!(check(text, bind, filtered), want.map_err(str::to_owned), "{text} {bind:?} {filtered:?}");
    }
}

#[test]
fn the_hash_is_of_words_and_places() {
    let hash = |text: &str| parse(text).expect("no mistakes").hash();
    assert_eq!(hash(". {\n errors a # b\n}"), hash("  .  {\n errors   a\n}\n# c\n"));
    assert_ne!(hash(". {\n errors a b\n}"), hash(". {\n errors ab\n}"));
    assert_ne!(hash(". {\n errors\n}"), hash(". {\n\n errors\n}"));
    assert_eq!(hash(".").len(), 128);
}

#[test]
fn a_configuration_as_text() {
    let text = "(s) {\n errors {$TWO} \"\"\n}\na.org 10.0.0.0/23:54 tls://b {\n import s\n hosts \"x#\ny\" {\n  a \"\\\"b\" c\"d\n  b {\n   c\n  }\n }\n errors 2\n}\nc {\n}\n";
    let want = "dns://a.org.:53 dns://0.0.10.in-addr.arpa.:54 tls://b.:853 dns://1.0.10.in-addr.arpa.:54 {\n    \
                errors \"a b\" \"\"\n    errors 2\n    hosts \"x#\ny\" {\n        a \"\\\"b\" c\"d\n        b {\n            \
                c\n        }\n    }\n}\ndns://c.:53 {\n}\n";
    let written = parse(text).expect("no mistakes").to_string();
    assert_eq!(written, want);
    assert_eq!(parse(&written).expect("no mistakes").to_string(), want);
}

#[test]
fn files() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("UTF-8");
    std::fs::create_dir(format!("{dir}/d")).expect("a folder");
    for (name, text) in [
        ("one", "\u{feff}errors 1\n"),
        ("two", "import d/../one\nnosuch"),
        ("circle", "import circle"),
        ("keys", "a, b"),
        ("d/b", "errors b"),
        ("d/a", "errors a"),
        ("d/in", "import ../one"),
    ] {
        std::fs::write(format!("{dir}/{name}"), text).expect("a file");
    }
    let outcome = |text: &str| {
        let source = Source::new(&format!("{dir}/f"), text);
        let parsed = Corefile::parse(&source, "53", &|name| DIRECTIVES.contains(&name), &env);
        parsed.map_or_else(|e| e[0].to_string(), |c| shown(&c)).replace(dir, "@")
    };
    for (text, want) in [
        (". {\n import one\n import one\n}", "dns://.:53: errors=1,errors,1"),
        (
            ". {\n import d/[\n}",
            "@/f:2 - Error during parsing: Failed to use import pattern d/[: syntax error in pattern",
        ),
        (". {\n import d/*\n}", "dns://.:53: errors=a,errors,b,errors,1"),
        (". {\n import d/?\n import d/x*\n}", "dns://.:53: errors=a,errors,b"),
        (". {\n import d/\\a\n}", "dns://.:53: errors=a"),
        (
            ". {\n import one\\\n}",
            "@/f:2 - Error during parsing: Failed to use import pattern one\\: syntax error in pattern",
        ),
        ("import keys\n{\n}", "dns://a.:53 dns://b.:53:"),
        ("import d", "@/f:1 - Error during parsing: Could not import @/d: is a directory"),
        (
            "import d*/*",
            "@/f:1 - Error during parsing: Glob pattern may only contain one wildcard (*), but has others: @/d*/*",
        ),
        (". {\nimport two\n}", "@/two:2 - Error during parsing: Unknown directive 'nosuch'\n  imported from @/f:2"),
        (
            "import circle",
            "@/circle:1 - Error during parsing: maximum file import depth (10000) exceeded\n  imported from @/f:1",
        ),
    ] {
        assert_eq!(outcome(text), want, "{text}");
    }
}

/// A snippet whose import doubles what is imported, so many times.
fn doubling(times: usize) -> String {
    let snippet = |i: usize| format!("(s{}) {{\n import s{i}\n import s{i}\n}}\n", i + 1);
    let snippets: String = (0..times).map(snippet).collect();
    format!("(s0) {{\n errors x\n}}\n{snippets}. {{\n import s{times}\n}}\n")
}

#[test]
fn a_long_chain_of_imports() {
    let snippet = |i: usize| format!("(s{}) {{\n import s{i}\n}}\n", i + 1);
    let snippets: String = (0..9_000).map(snippet).collect();
    let text = |last: &str| format!("(s0) {{\n {last}\n}}\n{snippets}. {{\n import s9000\n}}\n");
    assert_eq!(
        parse(text("whoami")).map(|c| shown(&c)).map_err(|e| e[0].to_string()),
        Ok("dns://.:53: whoami=".to_owned())
    );
    let lines = mistakes(text("nosuch")).remove(0);
    assert_eq!(lines.lines().count(), 22);
    assert!(lines.ends_with("\n  and by 8981 more imports"), "{lines}");
}

#[test]
fn hostile_texts_end_soon() {
    for (text, want) in [
        ("a {\n}\n".repeat(200_000), "f: too many server blocks, no more than 100000 are read"),
        ("a".repeat(17 << 20), "f: too many octets, no more than 16777216 are read"),
        ("a ".repeat(1_000_001), "f: too many words, no more than 1000000 are read"),
        (doubling(40), "maximum snippet import depth (10000) exceeded"),
        ("10.0.0.0/1 ".repeat(4000), "too many zones in all server blocks"),
        (
            "(a) {\n import b\n}\n(b) {\n import a\n}\n. {\n import a\n}".to_owned(),
            "maximum snippet import depth (10000) exceeded",
        ),
    ] {
        let first = &mistakes(&text)[0];
        assert!(first.lines().next().is_some_and(|line| line.ends_with(want)), "{first}");
    }
    assert_eq!(mistakes(". {\n".to_owned() + &"nosuch\n".repeat(10_000)).len(), LIMITS.mistakes);
}

#[test]
fn nothing_panics() {
    let seeds =
        ["a, b:53 {\n errors \"a\nb\" {\n c\n }\n}\n", "(s) {\n errors\n}\nimport s\n. {\n import s\n}\n{$OPEN} # c\n"];
    let pieces: [&[u8]; 12] =
        [b"{", b"}", b"\n", b" ", b"\"", b"\\", b"#", b",", b"import s\n", b"\xff", b"{$TWO}", b"10.0.0.0/9:1 "];
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut parsed = 0;
    for _ in 0..20_000 {
        let mut text = seeds[random(seeds.len())].as_bytes().to_vec();
        for _ in 0..=random(6) {
            let (at, end) = (random(text.len() + 1), random(text.len() + 1));
            match random(3) {
                0 => drop(text.drain(at.min(end)..at.max(end).min(at.min(end) + 8))),
                _ => drop(text.splice(at..at, pieces[random(pieces.len())].iter().copied())),
            }
        }
        let Ok(corefile) = parse(&text) else { continue };
        parsed += 1;
        for (_, tokens) in corefile.blocks.iter().flat_map(|b| &b.directives) {
            read_to_the_end(tokens);
        }
    }
    assert!(parsed > 1000, "{parsed} texts were understood");
}

/// Reads as most plugins do; each step takes a token.
fn read_to_the_end(tokens: &[Token]) {
    let mut cursor = Cursor::new("errors", tokens);
    while cursor.next() {
        cursor.remaining_args();
        while cursor.next_block() {
            cursor.remaining_args();
        }
    }
    assert!(cursor.arg_err().to_string().starts_with("plugin/errors: f:"), "{}", cursor.arg_err());
}
