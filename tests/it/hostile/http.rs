//! The pages: slow requests, long ones, what is no HTTP.

use super::{Server, page};
use std::io::{Read, Write};
use std::net::TcpStream;

const PAGES: [&str; 3] = ["/metrics", "/health", "/ready"];

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.http.number())).expect("open");
    stream.set_read_timeout(Some(super::PATIENCE)).expect("set");
    stream
}

fn shown(server: &Server) {
    for path in PAGES {
        assert!(page(server.http.number(), path).starts_with("HTTP/1.1 200 "), "{path}");
    }
}

#[test]
fn slow_requests_hold_up_nobody() {
    let server = Server::start("");
    // More than are served at the same time.
    let slow: Vec<TcpStream> = (0..300)
        .map(|i| {
            let mut stream = connect(&server);
            stream.write_all(format!("GET {} HTTP/1.1\r\nHost: ", PAGES[i % 3]).as_bytes()).expect("sent");
            stream
        })
        .collect();
    shown(&server);
    let dropped = page(server.http.number(), "/metrics");
    let dropped = dropped.lines().find(|l| l.starts_with("coredns_shed_dropped_total{reason=\"http\","));
    assert!(dropped.is_some(), "it is counted");
    drop(slow);
    server.lives();
}

#[test]
fn what_is_too_long_or_no_request_is_refused() {
    let server = Server::start("");
    let header = format!("GET /health HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n", "x".repeat(60_000));
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(60_000));
    let lines = format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    let body =
        "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".to_owned() + &"x".repeat(1_000);
    let requests: [(&[u8], &[&str]); 7] = [
        (header.as_bytes(), &["431"]),
        (path.as_bytes(), &["431", "414"]),
        (lines.as_bytes(), &["431"]),
        (body.as_bytes(), &["200"]),
        (b"\0\xff\xfe not HTTP\r\n\r\n", &["400"]),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", &["400"]),
        (b"GET /%0a%00%ff HTTP/1.1\r\nHost: x\r\n\r\n", &["404"]),
    ];
    for (request, codes) in requests {
        let mut stream = connect(&server);
        // It may be refused before it was taken as a whole; then what was said of it may be lost.
        let sent = stream.write_all(request);
        let mut reply = Vec::new();
        let read = stream.read_to_end(&mut reply);
        let code = String::from_utf8_lossy(&reply).split(' ').nth(1).map(str::to_owned);
        let lost = code.is_none() && (sent.is_err() || read.is_err());
        assert!(lost || code.as_deref().is_some_and(|code| codes.contains(&code)), "{codes:?} {code:?}");
        shown(&server);
    }
    server.lives();
}
