//! What clients put into names shows up in logs and metrics, and does no harm there.

use super::super::server::Daemon;
use super::{PATIENCE, Server, page};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use testkit::Port;

/// A question for these labels.
fn asks(labels: &[&[u8]], rtype: u16) -> Vec<u8> {
    let mut message = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in labels {
        message.push(label.len() as u8);
        message.extend_from_slice(label);
    }
    message.push(0);
    message.extend(rtype.to_be_bytes());
    message.extend(b"\0\x01");
    message
}

/// Names that would be lines, colours or quotes of their own, and all octets there are.
fn names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = (0..=255).map(|octet| vec![b'x', octet, b'y']).collect();
    for name in [
        "\n[ERROR] all is lost",
        "\r\n\x1b[31mred\x1b[0m",
        "\"}} 1\nfake 2",
        "\\\"",
        "{\"a\":\"b\"}",
        "\u{202e}\u{85}%s",
    ] {
        names.push(name.into());
    }
    names
}

fn ask(port: u16, message: &[u8]) {
    testkit::ask((Ipv4Addr::LOCALHOST, port).into(), message, PATIENCE).expect("a reply");
}

#[test]
fn a_name_is_no_line_of_the_log() {
    // Without an answer below: errors are told, with the name in them.
    let (port, upstream) = (Port::free(), Port::free());
    let (n, u) = (port.number(), upstream.number());
    let block = format!("bind 127.0.0.1\nlog\nerrors\nforward . 127.0.0.1:{u} {{\nmax_connect_attempts 1\n}}");
    for format in ["text", "json"] {
        let mut daemon = Daemon::serving_with(&format!(".:{n} {{\n{block}\n}}\n"), &["-log-format", format]);
        let before = daemon.log().lines().count();
        names().iter().for_each(|name| ask(n, &asks(&[name, b"test"], 1)));
        ask(n, &asks(&[b"the-last"], 1));
        daemon.wait_for("the-last");
        let log = daemon.log();
        let lines: Vec<&str> = log.lines().skip(before).collect();
        for line in &lines {
            assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line:?}");
            let known = ["[INFO] 127.0.0.1:", "[ERROR] plugin/errors: "].iter().any(|begin| line.starts_with(begin));
            match format {
                "json" => {
                    drop(serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{line}: {e}")))
                }
                _ => assert!(known, "{line}"),
            }
        }
        assert!(lines.len() > names().len(), "{lines:#?}");
    }
}

#[test]
fn a_name_is_no_label_and_there_are_only_so_many_of_them() {
    let server = Server::start("template ANY ANY t.test {\nrcode NXDOMAIN\n}");
    let n = server.dns.number();
    for (i, name) in names().iter().enumerate() {
        ask(n, &asks(&[name, b"test"], 1_000 + i as u16));
        ask(n, &asks(&[name, b"t", b"test"], 1_000 + i as u16));
    }
    let page = page(server.http.number(), "/metrics");
    let (_, page) = page.split_once("\r\n\r\n").expect("a page");
    let sample = fancy_regex::Regex::new(r#"^[a-z_]+(\{([a-z_]+="([^"\\]|\\["\\n])*",?)*\})? (\+Inf|[0-9.e+-]+)$"#)
        .expect("an expression");
    let mut types = BTreeSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        assert!(sample.is_match(line).expect("it ends"), "{line}");
        types.extend(line.split("type=\"").nth(1).and_then(|rest| rest.split('"').next()));
    }
    assert_eq!(types, BTreeSet::from(["other"]));
    server.lives();
}
