//! What expressions say. Values, types and words of mistakes are those of the Go library 1.17.8.

use super::*;
use crate::clock::Clock;
use crate::test::query;

/// What the pattern of these tests matched.
struct Host;

impl Groups for Host {
    fn group(&self, name: &str) -> Option<&str> {
        ["1", "host"].contains(&name).then_some("www")
    }
}

/// The value of an expression about `www.example. A`, as Go prints it, or why it has none. Variables: `number`, and `anything`, of
/// which nothing is known.
fn value(text: &str) -> Result<String, String> {
    let mut names = Names::of_query().with_groups();
    names.add_variable("number", Type::Int);
    names.add_variable("anything", Type::Unknown);
    let expression = Expression::compile(text, &names)?;
    let q = query("www.example A +bufsize=1400");
    let clock = Clock::manual(); // 2023-11-14 22:13:20 UTC
    let facts = Facts::new(&q, &clock).with_groups(&Host);
    let any = Expression::compile("{'a': 1, 'b': [1, 2], 'n': nil}", &names)?;
    let any = any.evaluate(&facts, &[]).map_err(|failure| failure.to_string())?;
    let value = expression.evaluate(&facts, &[Value::Int(5), any]);
    value.and_then(|value| value.shown()).map_err(|failure| format!("failed: {failure}"))
}

fn check(cases: &[(&str, &str)]) {
    for (text, want) in cases {
        assert_eq!(value(text).as_deref(), Ok(*want), "{text}");
    }
}

#[test]
fn literals() {
    check(&[
        ("nil", "<nil>"),
        ("0x2A + 0b101 + 0o17 + 1_000", "1062"),
        ("[.5, 1e3, 1.2e-4, 1_0.5]", "[0.5 1000 0.00012 10.5]"),
        (r#"'a"b' + "c'd" + `e``f`"#, "a\"bc'de`f"),
        (r"'\x41\u00e9\u{1F600}\101\t\\\''", "Aé\u{1F600}A\t\\'"),
        ("[1, 'a', true,]", "[1 a true]"),
        ("{a: 1, 'b': 2, 3: 4, ('c' + 'd'): 5,}", "map[3:4 a:1 b:2 cd:5]"),
        ("1 // one\n + /* two */ 2", "3"),
    ]);
}

#[test]
fn operators() {
    check(&[
        ("1 + 2 * 3 ** 2 - 10 % 4", "17"),
        ("7 / 2", "3.5"),
        ("-2 ^ 2 == -4 and 2 ** 3 ** 0 == 2", "true"),
        ("1 == 1.0 and [1, 2] == [1.0, 2] and nil == nil and 'a' != 'b'", "true"),
        ("1 < 2 <= 2 < 3 and not (1 < 3 < 2)", "true"),
        ("not false and !false or nil == 1", "true"),
        ("'abc' contains 'b' and 'abc' startsWith 'a' and 'abc' endsWith 'c' and 'abc' matches '^a.c$'", "true"),
        ("'abc' not contains 'x' and 'a' not in ['b'] and not ('a' in {'b': 1})", "true"),
        ("3 in 1..5 and 2.0 in 1..5 and 2.5 not in 1..5 and 7 in [1, 7]", "true"),
        ("true ? 1 : 2", "1"),
        ("if false { 1 } else if true { let x = 2; x * 3 } else { 3 }", "6"),
        ("false ?: true", "true"),
        ("nil ?? nil ?? 'x'", "x"),
        ("9223372036854775807 + 1", "-9223372036854775808"),
        ("let a = 1; let b = a + 1; a; a + b", "3"),
        ("'b, a' | split(', ') | sort() | join('-')", "a-b"),
    ]);
}

#[test]
fn members() {
    check(&[
        ("[1, 2, 3][-1]", "3"),
        ("[[1, 2, 3][1:], [1, 2, 3][:-1], [1, 2, 3][5:], [1, 2, 3][2:1]]", "[[2 3] [1 2] [] []]"),
        ("'abcd'[1:3]", "bc"),
        ("{'a': {'b': 1}}.a.b", "1"),
        ("{'a': nil}?.a?.b?.c", "<nil>"),
        ("{'a': [1]}.a?.[0]", "1"),
        ("{'a': 1}['x']", "<nil>"),
        ("$env.number + 1", "6"),
        ("$env.name()", "www.example."),
        ("let f = proto; f()", "udp"),
        ("anything ?? 1", "map[a:1 b:[1 2] n:<nil>]"),
    ]);
    assert!(value("[1, 2][2]").is_err_and(|e| e == "failed: index out of range"));
}

#[test]
fn bodies() {
    check(&[
        ("[all(1..3, # > 0), none(1..3, {# > 3}), any([], true), one(1..3, # == 2)]", "[true true false true]"),
        ("[filter(1..5, # % 2 == 1), map(1..3, {let x = #; x * #index})]", "[[1 3 5] [0 2 6]]"),
        ("[count([true, false]), count(1..9, # > 3), sum(1..4), sum(1..4, # * 2)]", "[1 6 10 20]"),
        ("[find(1..9, # > 3), findIndex(1..9, # > 3), findLast(1..9, # < 3), findLastIndex(1..9, # < 3)]", "[4 3 2 1]"),
        ("[find([], true), reduce(1..4, #acc + #), reduce(1..4, #acc * #, 2)]", "[<nil> 10 48]"),
        ("groupBy(1..5, # % 2 == 0 ? 'even' : 'odd')", "map[even:[2 4] odd:[1 3 5]]"),
        ("sortBy([{n: 2}, {n: 1}], .n, 'desc') | map(.n)", "[2 1]"),
        ("filter(1..3, any(1..#, # == 2))", "[2 3]"),
    ]);
}

#[test]
fn functions() {
    check(&[
        ("[len('é'), len([1]), len({a: 1})]", "[1 1 1]"),
        ("[trim('  a '), trim('--a-', '-'), trimPrefix('ab', 'a'), trimSuffix('ab', 'b')]", "[a a b a]"),
        ("[upper('aß'), lower('ABC')]", "[Aß abc]"),
        ("[split('a,b,c', ','), split('a,b,c', ',', 2), splitAfter('a,b', ',')]", "[[a b c] [a b,c] [a, b]]"),
        ("[split('ab', ''), split('', ','), len(split('a', ',', 0))]", "[[a b] [] 0]"),
        (
            "[replace('aaa', 'a', 'b'), replace('aaa', 'a', 'b', 2), repeat('ab', 2), join(['a', 'b'])]",
            "[bbb bba abab ab]",
        ),
        ("[indexOf('abab', 'b'), lastIndexOf('abab', 'b'), indexOf('a', 'x')]", "[1 3 -1]"),
        ("[hasPrefix('ab', 'a'), hasSuffix('ab', 'a')]", "[true false]"),
        (
            "[abs(-1), abs(-1.5), ceil(1.2), floor(-1.2), round(2.5), int('12'), int(1.9), float('1.5')]",
            "[1 1.5 2 -2 3 12 1 1.5]",
        ),
        ("[max(1, 2.5), min([3, [1]], 2), mean(1, 2), median([4, 1, 3, 2]), string(1e6)]", "[2.5 1 1.5 2.5 1e+06]"),
        ("[bitand(14, 11), bitor(1, 2), bitxor(3, 1), bitnand(7, 2), bitnot(0)]", "[10 3 2 5 -1]"),
        ("[bitshl(1, 3), bitshr(-8, 1), bitshr(-8, 99), bitushr(-5, 62), bitshl(1, 64)]", "[8 -4 -1 3 0]"),
        (
            "[first([1, 2]), last([1, 2]), first([]), take([1, 2, 3], 2), get([1], 5), get({a: 1}, 'a')]",
            "[1 2 <nil> [1 2] <nil> 1]",
        ),
        (
            "[keys({b: 1, a: 2}), values({b: 1, a: 2}), toPairs({a: 1}), fromPairs([[1, 'x']])]",
            "[[a b] [2 1] [[a 1]] map[1:x]]",
        ),
        (
            "[reverse([1, 2]), uniq([1, 1.0, 2]), concat([1], [2]), flatten([1, [2, [3]]]), sort([2, 1], 'desc')]",
            "[[2 1] [1 2] [1 2] [1 2 3] [2 1]]",
        ),
    ]);
}

#[test]
fn queries() {
    check(&[
        (
            "[type(), name(), class(), proto(), client_ip(), port(), opcode(), id(), do()]",
            "[A www.example. IN udp 127.0.0.1 40212 0 4660 false]",
        ),
        ("[size(), bufsize(), server_ip(), server_port()]", "[40 1400 :: 0]"),
        ("[group('host'), group(1), group('x'), group(nil), metadata('a/b')]", "[www www   ]"),
        (
            "[incidr('10.1.2.3', '10.0.0.0/8'), incidr('::ffff:10.1.2.3', '10.0.0.0/8'), incidr('2001:db8::1', '2001:db8::/32')]",
            "[true true true]",
        ),
        (
            "[incidr('10.1.2.3', '0.0.0.0/0'), incidr('10.1.2.3', '::/0'), incidr('10.1.2.3', '::ffff:10.0.0.0/104')]",
            "[true false true]",
        ),
    ]);
    for text in ["incidr('x', '10.0.0.0/8')", "incidr('10.0.0.1', '10.0.0.0/33')"] {
        assert!(value(text).is_err_and(|e| e.starts_with("failed: ")), "{text}");
    }
}

#[test]
fn times() {
    check(&[
        (
            "[now().Year(), now().Hour() >= 0, now(timezone('UTC')).Hour(), now().UTC().Format('15:04')]",
            "[2023 true 22 22:13]",
        ),
        ("now() > date('2023-11-14') and now() - date('2023-11-14') < duration('24h') and now() == now()", "true"),
        (
            "[date('2024-02-29'), date('2024-02-29 10:11:12'), date('2024-02-29T10:11:12.5+02:00')]",
            "[2024-02-29 00:00:00 +0000 UTC 2024-02-29 10:11:12 +0000 UTC 2024-02-29 10:11:12.5 +0200 +0200]",
        ),
        (
            "[duration('1h') + duration('30m'), 2 * duration('45s'), duration('1h30m').Hours(), duration('-1.5s')]",
            "[1h30m0s 1m30s 1.5 -1.5s]",
        ),
        (
            "let d = date('2024-01-31'); [d.AddDate(0, 1, 0).Day(), d.AddDate(-1, -13, 1).Format('2006-01-02')]",
            "[2 2022-01-01]",
        ),
        (
            "[date('2024-02-29').Weekday(), date('2024-02-29').Month(), int(date('2024-02-29').Weekday()), date('2024-02-29').YearDay()]",
            "[Thursday February 4 60]",
        ),
        (
            "date('2024-02-09 15:04:05').Format('Mon Monday Jan January 2 _2 02 3:4:5 PM pm 06 .000 -07:00 Z07:00 MST 002')",
            "Fri Friday Feb February 9  9 09 3:4:5 PM pm 24 .000 +00:00 Z UTC 040",
        ),
        (
            "[duration('100m').Round(duration('1h')), duration('100m').Truncate(duration('1h')), date('2024-02-29 10:40:00').Round(duration('1h')).Hour()]",
            "[2h0m0s 1h0m0s 11]",
        ),
        ("first([now()]).Year()", "2023"),
    ]);
    for text in [
        "date('x')",
        "duration('x')",
        "timezone('../../etc/passwd')",
        "date('9999-12-31').AddDate(1, 0, 0)",
        "first([1]).Year()",
    ] {
        assert!(value(text).is_err_and(|e| e.starts_with("failed: ")), "{text}: {:?}", value(text));
    }
    for (text, words) in [
        ("now().Weekday() == 1", "invalid operation: == (mismatched types time.Weekday and int) (1:17)"),
        ("now().Add(1)", "cannot use int as argument (type time.Duration) to call Add  (1:11)"),
        ("now().Foo()", "type time.Time has no method Foo (1:7)"),
        ("now().ISOWeek()", "method ISOWeek of time.Time is not supported yet (1:7)"),
        ("now().Year", "method Year of time.Time that is not called is not supported yet (1:7)"),
        ("now() + now()", "invalid operation: + (mismatched types time.Time and time.Time) (1:7)"),
        ("now(1)", "invalid number of arguments (expected 0, got 1) (1:1)"),
    ] {
        assert_eq!(value(text).err().as_deref(), Some(words), "{text}");
    }
}

#[test]
fn mistakes() {
    for (text, words) in [
        ("", "unexpected token EOF"),
        ("name() ==", "unexpected token EOF (1:9)"),
        ("invalid expression", "unexpected token Identifier(\"expression\") (1:9)"),
        ("1\n+ )", "unexpected token Bracket(\")\") (2:3)"),
        ("'a", "literal not terminated (1:3)"),
        (r"'\q'", "invalid char escape (1:3)"),
        ("a @ b", "unrecognized character: U+0040 '@' (1:3)"),
        ("12x", "bad number syntax: \"12x\" (1:3)"),
        (
            "99999999999999999999",
            "invalid integer literal: strconv.ParseInt: parsing \"99999999999999999999\": value out of range (1:20)",
        ),
        ("anything.", "unexpected end of expression (1:9)"),
        ("undefined == 1", "unknown name undefined (1:1)"),
        ("name(1)", "too many arguments to call name (1:1)"),
        ("incidr('x')", "not enough arguments to call incidr (1:1)"),
        ("incidr(1, 2)", "cannot use int as argument (type string) to call incidr  (1:8)"),
        ("name == 'x'", "invalid operation: == (mismatched types func() string and string) (1:6)"),
        ("'a' + 1", "invalid operation: + (mismatched types string and int) (1:5)"),
        ("true and 1", "invalid operation: and (mismatched types bool and int) (1:6)"),
        ("!1", "invalid operation: ! (mismatched type int) (1:1)"),
        ("name() matches '['", "error parsing regexp: missing closing ]: `[` (1:8)"),
        (
            "name() ?? 'x' == 'y'",
            "Operator (==) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses. (1:15)",
        ),
        ("1 ? 2 : 3", "non-bool expression (type int) used as condition (1:1)"),
        ("1 in ['a']", "cannot use int as type string in array (1:3)"),
        ("all(1, true)", "builtin all takes only array (got int) (1:5)"),
        ("all([1], 1)", "predicate should return boolean (got int) (1:10)"),
        ("len(1)", "invalid argument for len (type int) (1:1)"),
        ("name().x", "type string has no field x (1:8)"),
        ("name()[0]", "type string[int] is undefined (1:7)"),
        ("anything.x", "type interface {} has no field x (1:10)"),
        ("[1]['a']", "array elements can only be selected using an integer (got string) (1:5)"),
        ("let name = 1; 2", "cannot redeclare name (1:5)"),
        ("let x = 1; let x = 2; x", "cannot redeclare variable x (1:16)"),
        ("let len = 1; 2", "cannot redeclare builtin len (1:5)"),
        ("1 % 0", "integer divide by zero (1:3)"),
        ("#", "unexpected token Operator(\"#\") (1:1)"),
    ] {
        assert_eq!(value(text).err().as_deref(), Some(words), "{text}");
    }
}

#[test]
fn what_is_left_out_is_said() {
    for text in ["b'ab' == nil", "toJSON(1)", "$env", "len == 1"] {
        assert!(value(text).is_err_and(|e| e.contains("not supported")), "{text}: {:?}", value(text));
    }
}

#[test]
fn work_is_bounded() {
    let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let many = vec!["name() == 'x'"; 2000].join(" or ");
    let long = vec!["1"; 6000].join(",");
    for (text, words) in [
        (deep.as_str(), "expression is nested more than 128 times"),
        (&"-".repeat(10_000), "expression is nested more than 128 times"),
        (&vec!["1"; 500].join(" + "), "expression is nested more than 128 times"),
        (&format!("[{long},{long}]"), "expression exceeds maximum allowed nodes"),
        ("1..1000000000", "too much work"),
        ("repeat('abc', 1000000)", "repeat makes more than"),
        ("reduce(1..50, #acc + #acc, 'ab')", "too much work"),
        ("reduce(1..1000, [#acc, #acc])", "lists are nested more than 64 times"),
        ("let a = reduce(1..40, [#acc, #acc]); a == a", "too much work"),
        ("map(1..1000, map(1..1000, 1))", "too much work"),
        ("any(1..1000, 'a' matches 'b{' + string(#) + '}')", "too much work"),
        ("replace(repeat('a', 9999), '', repeat('b', 9999))", "too much work"),
    ] {
        assert!(value(text).is_err_and(|e| e.contains(words)), "{words}: {:?}", value(text));
    }
    assert_eq!(value(&many).as_deref(), Ok("false"), "conditions beside each other are not nested");
}
