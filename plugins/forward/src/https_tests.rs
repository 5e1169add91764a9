//! Upstreams over HTTPS that are played by the tests.

use crate::tests::chain;
use crate::tls_tests::{Secured, ask};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::{Request, Response};
use std::future::poll_fn;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

type Served = Connection<TlsStream<TcpStream>, Bytes>;

/// What an upstream says to one request.
struct Said {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
}

type Change = fn(&mut Said);

const KIND: &str = "application/dns-message";

async fn accept(upstream: &Secured) -> Served {
    h2::server::handshake(upstream.accept().await).await.expect("HTTP/2")
}

async fn next(served: &mut Served) -> (Request<RecvStream>, SendResponse<Bytes>) {
    timeout(Duration::from_secs(5), served.accept()).await.expect("in time").expect("a request").expect("no error")
}

/// The message of a request.
async fn message(served: &mut Served, request: Request<RecvStream>) -> Vec<u8> {
    assert_eq!(request.uri().path(), "/dns-query");
    assert_eq!(request.headers()["accept"], KIND);
    if request.method() == "GET" {
        let (_, encoded) = request.uri().query().expect("a query").split_once("dns=").expect("a message");
        return URL_SAFE_NO_PAD.decode(encoded).expect("base64");
    }
    assert_eq!(
        (request.method().as_str(), &request.headers()["content-type"]),
        ("POST", &KIND.parse().expect("a value"))
    );
    let mut body = request.into_body();
    let whole = async {
        let mut octets = Vec::new();
        while let Some(part) = body.data().await {
            octets.extend_from_slice(&part.expect("no error"));
        }
        octets
    };
    tokio::select! { octets = whole => octets, _ = poll_fn(|cx| served.poll_closed(cx)) => panic!("closed") }
}

/// Answers one request: with the query as a reply, changed by `change`.
async fn answer(served: &mut Served, change: impl FnOnce(&mut Said)) {
    let (request, mut respond) = next(served).await;
    let mut body = message(served, request).await;
    assert_eq!(body[..2], [0, 0], "the ID");
    body[2] |= 0x80;
    let mut said = Said { status: 200, kind: KIND, body };
    change(&mut said);
    let response =
        Response::builder().status(said.status).header("content-type", said.kind).body(()).expect("a response");
    let mut stream = respond.send_response(response, false).expect("sent");
    stream.send_data(said.body.into(), true).expect("sent");
}

fn corefile(upstream: &Secured, more: &str) -> String {
    let (address, ca) = (upstream.address(), upstream.file("ca.pem"));
    format!(
        "forward . https://{address} {{\ntls {ca}\ntls_servername dns.example.org\nmax_fails 0\nmax_connect_attempts 1\n{more}\n}}"
    )
}

/// Serves until nobody asks any more.
async fn go_on(served: &mut Served) {
    while served.accept().await.is_some() {}
}

#[tokio::test]
async fn queries_share_a_connection_with_either_method() {
    for method in ["", "doh_method POST", "doh_method GET"] {
        let upstream = Secured::new(true, &["h2"]).await;
        let chain = chain(&corefile(&upstream, method)).expect("no mistakes");
        let play = async {
            let mut served = accept(&upstream).await;
            for _ in 0..3 {
                answer(&mut served, |said| said.kind = "Application/DNS-message; x=y").await;
            }
            go_on(&mut served).await;
        };
        let asked = async {
            let both = tokio::join!(ask(&chain, "a.org A"), ask(&chain, "b.org A +tcp"));
            [both.0, both.1, ask(&chain, "c.org A").await]
        };
        tokio::select! { answers = asked => assert_eq!(answers, ["NOERROR rd"; 3]), () = play => panic!("closed") }
    }
}

#[tokio::test]
async fn responses_that_are_no_replies_are_told() {
    let upstream = Secured::new(true, &["h2"]).await;
    let address = upstream.address();
    let chain = chain(&corefile(&upstream, "")).expect("no mistakes");
    let changes: [(Change, &str); 4] = [
        (|said| said.status = 503, "unexpected HTTP status 503"),
        (|said| said.status = 302, "unexpected HTTP status 302"),
        (|said| said.kind = "text/html", "unexpected content type \"text/html\""),
        (|said| said.body = vec![0; 65_536], "a message of more than 65535 octets"),
    ];
    let play = async {
        let mut served = accept(&upstream).await;
        for (change, _) in changes {
            answer(&mut served, change).await;
        }
        go_on(&mut served).await;
    };
    let asked = async {
        for (_, why) in changes {
            let want = format!("SERVFAIL (no message): Post \"https://{address}/dns-query\": {why}");
            assert_eq!(ask(&chain, "a.org A").await, want);
        }
    };
    tokio::select! { () = asked => (), () = play => panic!("closed") }
}

#[tokio::test]
async fn a_connection_that_was_closed_is_replaced() {
    let upstream = Secured::new(true, &["h2"]).await;
    let chain = chain(&corefile(&upstream, "")).expect("no mistakes");
    let play = async {
        for _ in 0..2 {
            let mut served = accept(&upstream).await;
            answer(&mut served, |_| ()).await;
            // Until the response is written, and another request is there.
            let _again = timeout(Duration::from_secs(5), served.accept()).await.expect("in time");
        }
        let mut served = accept(&upstream).await;
        answer(&mut served, |_| ()).await;
        go_on(&mut served).await;
    };
    let asked = async {
        for question in ["a.org A", "b.org A"] {
            assert_eq!(ask(&chain, question).await, "NOERROR rd");
        }
    };
    tokio::select! { () = asked => (), () = play => panic!("closed") }
}

#[tokio::test]
async fn who_does_not_speak_http2_or_not_at_all_is_told() {
    let upstream = Secured::new(true, &[]).await;
    let address = upstream.address();
    let chain = chain(&corefile(&upstream, "read_timeout 100ms")).expect("no mistakes");
    let asked = async { tokio::join!(ask(&chain, "a.org A"), upstream.accept()).0 };
    let want = |why: &str| format!("SERVFAIL (no message): Post \"https://{address}/dns-query\": {why}");
    assert_eq!(asked.await, want("the server does not speak HTTP/2"));
    let silent = ask(&chain, "a.org A").await;
    assert!(
        silent == want(&format!("dial tcp {address}: i/o timeout")) || silent.contains("deadline exceeded"),
        "{silent}"
    );
    drop(upstream);
    assert_eq!(ask(&chain, "a.org A").await, want(&format!("dial tcp {address}: connect: connection refused")));
}
