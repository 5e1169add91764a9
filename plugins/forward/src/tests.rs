//! Exchanges with upstreams that are played by the tests, over real sockets.

mod hostile;

use super::PLUGIN;
use api::task::{Carried, Carry};
use api::test::{query, text, world};
use api::wire::flag;
use api::{Chain, Clock, Link, Panics, Query, Run};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The chain that `lines` make, which are those of the directive.
pub fn chain(lines: &str) -> Result<Chain, String> {
    links(lines, Carry::default()).map(|(links, _)| Chain::new(links, Panics::End))
}

/// The plugins that `lines` make, and the state that is carried over then.
fn links(lines: &str, carry: Carry) -> Result<(Vec<Link>, Vec<Arc<Carried>>), String> {
    let world = world(Clock::system(), carry);
    Ok((api::test::links(&PLUGIN, lines, &world)?, world.carry.current()))
}

/// What the chain answers to `question`.
async fn ask(chain: &Chain, question: &str) -> String {
    said(&asked(chain, query(question)).await)
}

/// The reply of `q`, without what clients are told about the reason.
pub fn said(q: &Query) -> String {
    let text = text(q);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("info ")).collect();
    lines.join("\n")
}

/// A query that the chain has answered.
pub async fn asked(chain: &Chain, mut q: Query) -> Query {
    if let Run::Wait(at) = chain.run(&mut q) {
        assert_eq!(chain.finish(&mut q, at).await, Run::Done);
    }
    q
}

/// A socket of an upstream, and its address.
async fn upstream() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut packet = vec![0; 1500];
    let (length, client) = socket.recv_from(&mut packet).await.expect("a query");
    packet.truncate(length);
    (packet, client)
}

/// A reply to `packet` with these flags.
fn reply(packet: &[u8], flags: u16) -> Vec<u8> {
    let mut reply = packet.to_vec();
    reply[2..4].copy_from_slice(&(flag::QR | flags).to_be_bytes());
    reply
}

#[tokio::test]
async fn what_does_not_match_is_ignored_and_the_wait_goes_on() {
    let (socket, address) = upstream().await;
    let (other, _) = upstream().await;
    let chain = chain(&format!("forward . {address}")).expect("no mistakes");
    let play = async {
        let (packet, client) = receive(&socket).await;
        let mut wrong_id = reply(&packet, 5);
        wrong_id[0] ^= 1;
        let mut wrong_name = reply(&packet, 5);
        wrong_name[13] ^= 1;
        for noise in [&b""[..], b"noise", &packet[..12], &wrong_id, &wrong_name] {
            socket.send_to(noise, client).await.expect("sent");
        }
        other.send_to(&reply(&packet, 5), client).await.expect("sent");
        socket.send_to(&reply(&packet, flag::RA), client).await.expect("sent");
    };
    let (answer, ()) = tokio::join!(ask(&chain, "www.example.org A"), play);
    assert_eq!(answer, "NOERROR ra");
}

#[tokio::test]
async fn a_late_reply_is_not_taken_for_another_query() {
    let (socket, address) = upstream().await;
    let chain = chain(&format!("forward . {address}")).expect("no mistakes");
    let play = async {
        let (first, client) = receive(&socket).await;
        socket.send_to(&reply(&first, 0), client).await.expect("sent");
        let (second, other) = receive(&socket).await;
        assert_ne!(other, client, "a port of its own");
        socket.send_to(&reply(&first, 3), other).await.expect("sent");
        socket.send_to(&reply(&second, 0), other).await.expect("sent");
        (first, second)
    };
    let both = async { (ask(&chain, "a.org A").await, ask(&chain, "a.org A").await) };
    let ((one, two), (first, second)) = tokio::join!(both, play);
    assert_eq!([one, two], ["NOERROR", "NOERROR"]);
    assert_ne!(first[..2], second[..2], "each query has an ID of its own");
}

#[tokio::test]
async fn the_next_upstream_is_asked_when_one_fails() {
    let (closed, dead) = upstream().await;
    drop(closed);
    let (socket, address) = upstream().await;
    let chain =
        chain(&format!("forward . {dead} {address} {{\npolicy sequential\nmax_fails 0\n}}")).expect("no mistakes");
    let play = async {
        let (packet, client) = receive(&socket).await;
        socket.send_to(&reply(&packet, 0), client).await.expect("sent");
    };
    let (answer, ()) = tokio::join!(ask(&chain, "a.org A"), play);
    assert_eq!(answer, "NOERROR");
}

#[tokio::test]
async fn a_query_that_is_lost_is_sent_again() {
    let (socket, address) = upstream().await;
    let chain = chain(&format!("forward . {address} {{\nread_timeout 5s\n}}")).expect("no mistakes");
    let play = async {
        let (known, client) = receive(&socket).await;
        socket.send_to(&reply(&known, 0), client).await.expect("sent");
        let (first, client) = receive(&socket).await;
        let (again, same) = receive(&socket).await;
        assert_eq!((&again, same), (&first, client), "the first transmission's reply counts as well");
        socket.send_to(&reply(&again, flag::RA), client).await.expect("sent");
    };
    let asked = async { [ask(&chain, "a.org A").await, ask(&chain, "a.org A").await] };
    let both = async { tokio::join!(asked, play) };
    let (answers, ()) = timeout(Duration::from_secs(2), both).await.expect("in time");
    assert_eq!(answers, ["NOERROR", "NOERROR ra"]);
}

#[tokio::test]
async fn another_upstream_is_asked_before_the_first_one_has_timed_out_and_then_it_is_preferred() {
    let ((silent, one), (socket, two)) = (upstream().await, upstream().await);
    let chain = chain(&format!("forward . {one} {two}")).expect("no mistakes");
    let play = async {
        loop {
            let (packet, client) = receive(&socket).await;
            socket.send_to(&reply(&packet, 0), client).await.expect("sent");
        }
    };
    let asked = async {
        for _ in 0..40 {
            assert_eq!(ask(&chain, "a.org A").await, "NOERROR");
        }
    };
    let in_time = timeout(Duration::from_secs(1), asked);
    tokio::select! { done = in_time => done.expect("in time"), () = play => () }
    let mut heard = 0;
    while timeout(Duration::ZERO, receive(&silent)).await.is_ok() {
        heard += 1;
    }
    assert!(heard <= 3, "{heard} queries to the silent one");
}

#[tokio::test]
async fn a_silent_upstream_is_left_out_where_users_have_set_the_order_too() {
    let ((silent, one), (socket, two)) = (upstream().await, upstream().await);
    let chain = chain(&format!("forward . {one} {two} {{\npolicy sequential\n}}")).expect("no mistakes");
    let play = async {
        loop {
            let (packet, client) = receive(&socket).await;
            socket.send_to(&reply(&packet, 0), client).await.expect("sent");
        }
    };
    // It answers once, so that it is known how long it takes.
    let known = async {
        let (packet, client) = receive(&silent).await;
        silent.send_to(&reply(&packet, 0), client).await.expect("sent");
    };
    assert_eq!(tokio::join!(ask(&chain, "a.org A"), known).0, "NOERROR");
    let asked = async {
        for _ in 0..40 {
            assert_eq!(ask(&chain, "a.org A").await, "NOERROR");
        }
    };
    tokio::select! { done = timeout(Duration::from_secs(2), asked) => done.expect("in time"), () = play => () }
    let mut heard = 0;
    while timeout(Duration::ZERO, receive(&silent)).await.is_ok() {
        heard += 1;
    }
    assert!(heard <= 10, "{heard} queries and probes to the silent one");
}

#[tokio::test]
async fn an_upstream_that_stalls_is_not_sent_all_that_comes_in_the_meantime() {
    let (socket, address) = upstream().await;
    let chain = Arc::new(chain(&format!("forward . {address}")).expect("no mistakes"));
    let known = async {
        let (packet, client) = receive(&socket).await;
        socket.send_to(&reply(&packet, 0), client).await.expect("sent");
    };
    assert_eq!(tokio::join!(ask(&chain, "a.org A"), known).0, "NOERROR");
    let mut asked = JoinSet::new();
    for wave in 0..3 {
        for n in 0..100 {
            let chain = chain.clone();
            asked.spawn(async move { ask(&chain, &format!("{wave}-{n}.org A")).await });
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let (mut packets, mut questions) = (Vec::new(), HashSet::new());
    while let Ok((packet, client)) = timeout(Duration::ZERO, receive(&socket)).await {
        questions.insert(packet[12..].to_vec());
        packets.push((packet, client));
    }
    assert!((100..150).contains(&questions.len()), "{} queries were sent", questions.len());
    let play = async {
        for (packet, client) in packets {
            socket.send_to(&reply(&packet, 0), client).await.expect("sent");
        }
        loop {
            let (packet, client) = receive(&socket).await;
            socket.send_to(&reply(&packet, 0), client).await.expect("sent");
        }
    };
    let answers = timeout(Duration::from_secs(1), asked.join_all());
    tokio::select! {
        answers = answers => assert!(answers.expect("in time").iter().all(|answer| answer == "NOERROR")),
        () = play => (),
    }
}

#[tokio::test]
async fn an_upstream_that_answers_with_failures_is_asked_less() {
    let ((bad, one), (good, two)) = (upstream().await, upstream().await);
    let chain = chain(&format!("forward . {one} {two}")).expect("no mistakes");
    let play = |socket: UdpSocket, flags| async move {
        loop {
            let (packet, client) = receive(&socket).await;
            socket.send_to(&reply(&packet, flags), client).await.expect("sent");
        }
    };
    let asked = async {
        let mut failed = 0;
        for _ in 0..100 {
            failed += u32::from(ask(&chain, "a.org A").await != "NOERROR");
        }
        assert!(failed <= 3, "{failed} failures");
    };
    tokio::select! { () = asked => (), () = play(bad, 2) => (), () = play(good, 0) => () }
}

#[tokio::test]
async fn one_query_is_made_for_all_who_ask_for_the_same() {
    let (socket, address) = upstream().await;
    let chain = chain(&format!("forward . {address}")).expect("no mistakes");
    let play = async {
        let (packet, client) = receive(&socket).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(timeout(Duration::ZERO, receive(&socket)).await.is_err(), "one query");
        socket.send_to(&reply(&packet, flag::RA), client).await.expect("sent");
    };
    let asked = async { tokio::join!(ask(&chain, "a.org A"), ask(&chain, "A.org A"), ask(&chain, "a.ORG A")) };
    let (answers, ()) = tokio::join!(asked, play);
    assert!([answers.0, answers.1, answers.2].iter().all(|answer| answer == "NOERROR ra"));
}

#[tokio::test]
async fn an_upstream_that_cannot_read_edns_is_asked_without() {
    let (socket, address) = upstream().await;
    let chain = chain(&format!("forward . {address}")).expect("no mistakes");
    let play = async {
        for (additional, flags) in [(1, 1), (0, flag::RA), (0, flag::RA)] {
            let (mut packet, client) = receive(&socket).await;
            assert_eq!(packet[11], additional, "records behind the question");
            packet[11] = 0;
            socket.send_to(&reply(&packet[..23], flags), client).await.expect("sent");
        }
    };
    let asked = async { [ask(&chain, "a.org A +do").await, ask(&chain, "b.org A +do").await] };
    let (answers, ()) = tokio::join!(asked, play);
    assert_eq!(answers, ["NOERROR ra", "NOERROR ra"]);
}

#[tokio::test]
async fn failures_are_told_in_words_that_users_search_for() {
    let (closed, dead) = upstream().await;
    drop(closed);
    let (_socket, silent) = upstream().await;
    let options = "max_fails 0\nread_timeout 20ms\nmax_connect_attempts 1";
    for (question, to, begin, end) in [
        ("a.org A", dead, "SERVFAIL (no message): read udp 127.0.0.1:", ": read: connection refused"),
        ("a.org A +tcp", dead, "SERVFAIL (no message): dial tcp 127.0.0.1:", ": connect: connection refused"),
        ("a.org A", silent, "SERVFAIL (no message): read udp 127.0.0.1:", ": i/o timeout"),
    ] {
        let chain = chain(&format!("forward . {to} {{\n{options}\n}}")).expect("no mistakes");
        let answer = ask(&chain, question).await;
        assert!(answer.starts_with(begin) && answer.ends_with(&format!("{to}{end}")), "{answer}");
    }
    let chain = chain(&format!("forward . 127.0.0.1:x {{\n{options}\n}}")).expect("no mistakes");
    assert_eq!(ask(&chain, "a.org A").await, "SERVFAIL (no message): dial udp: lookup udp/x: unknown port");
}

#[tokio::test]
async fn the_deadline_of_a_query_ends_the_wait() {
    let (socket, address) = upstream().await;
    let chain = chain(&format!("forward . {address} {{\nmax_connect_attempts 0\n}}")).expect("no mistakes");
    let mut q = query("a.org A");
    q.deadline = Some(q.received + Duration::from_millis(30));
    let q = timeout(Duration::from_secs(1), asked(&chain, q)).await.expect("in time");
    assert!(said(&q).ends_with("i/o timeout"), "{}", said(&q));
    receive(&socket).await;
    assert!(timeout(Duration::ZERO, receive(&socket)).await.is_err(), "one attempt");
}

#[tokio::test]
async fn one_query_more_than_may_wait_is_refused() {
    let (socket, address) = upstream().await;
    let chain = chain(&format!("forward . {address} {{\nmax_concurrent 1\n}}")).expect("no mistakes");
    let play = async {
        let (packet, client) = receive(&socket).await;
        let refused = ask(&chain, "b.org A").await;
        socket.send_to(&reply(&packet, 0), client).await.expect("sent");
        refused
    };
    let (answer, refused) = tokio::join!(ask(&chain, "a.org A"), play);
    assert_eq!(answer, "NOERROR");
    assert_eq!(refused, "REFUSED (no message): concurrent queries exceeded maximum 1");
    let given_up = timeout(Duration::from_millis(10), ask(&chain, "c.org A")).await;
    assert!(given_up.is_err(), "the place is free again");
    let again = timeout(Duration::from_millis(10), ask(&chain, "c.org A")).await;
    assert!(again.is_err(), "also where a query was given up");
}

/// Reads a framed query and answers it, or not.
async fn serve(stream: &mut TcpStream, flags: Option<u16>) {
    let length = stream.read_u16().await.expect("a frame");
    let mut packet = vec![0; length.into()];
    stream.read_exact(&mut packet).await.expect("a query");
    if let Some(flags) = flags {
        let reply = reply(&packet, flags);
        let framed = [&length.to_be_bytes()[..], &reply].concat();
        for part in framed.chunks(5) {
            stream.write_all(part).await.expect("written");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let chain = chain(&format!("forward . {address} {{\nforce_tcp\nmax_connect_attempts 1\nread_timeout 50ms\n}}"))
        .expect("no mistakes");
    let play = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        serve(&mut stream, Some(0)).await;
        serve(&mut stream, Some(flag::RA)).await;
        drop(stream);
        let (mut stream, _) = listener.accept().await.expect("a connection");
        serve(&mut stream, Some(flag::AA)).await;
        serve(&mut stream, None).await;
        drop(stream);
        let (mut fresh, _) = listener.accept().await.expect("a connection");
        serve(&mut fresh, None).await;
    };
    let asked = async {
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(ask(&chain, "a.org A").await);
        }
        answers.push(ask(&chain, "b.org A").await);
        answers
    };
    let (answers, ()) = tokio::join!(asked, async { timeout(Duration::from_secs(1), play).await.unwrap_or(()) });
    assert_eq!(answers, ["NOERROR", "NOERROR ra", "NOERROR aa", "SERVFAIL (no message): EOF"]);
}

#[tokio::test]
async fn truncated_replies_are_asked_for_over_tcp_with_prefer_udp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let socket = UdpSocket::bind(address).await.expect("the same port");
    let chain = chain(&format!("forward . {address} {{\nprefer_udp\n}}")).expect("no mistakes");
    let play = async {
        let (packet, client) = receive(&socket).await;
        socket.send_to(&reply(&packet, flag::TC), client).await.expect("sent");
        let (mut stream, _) = listener.accept().await.expect("a connection");
        serve(&mut stream, Some(flag::RA)).await;
    };
    let (answer, ()) = tokio::join!(ask(&chain, "a.org A +tcp"), play);
    assert_eq!(answer, "NOERROR ra");
}

#[tokio::test]
async fn names_that_are_forwarded() {
    let chain = chain("forward example.org 127.0.0.1:x {\nexcept no.example.org example.org\nmax_fails 0\n}");
    let chain = chain.expect("no mistakes");
    for (question, forwarded) in
        [("example.org A", true), ("a.no.example.org A", false), ("a.example.org A", false), ("org A", false)]
    {
        let answer = ask(&chain, question).await;
        assert_eq!(answer.contains("dial udp"), forwarded, "{question}: {answer}");
    }
}

#[test]
fn an_upstream_is_shared_and_outlives_a_reload_while_its_settings_are_the_same() {
    let lines = "forward . 127.0.0.1:1 127.0.0.2:1\nforward a.org 127.0.0.1:1 {\nexcept b.a.org\n}";
    let (plugins, before) = links(lines, Carry::default()).expect("no mistakes");
    assert_eq!((plugins.len(), before.len()), (2, 2), "the two stanzas share an upstream");
    let lines = "forward . 127.0.0.1:1 {\nmax_fails 7\n}\nforward a.org 127.0.0.2:1 {\nread_timeout 1s\n}";
    let (_, after) = links(lines, Carry::from_before(&before)).expect("no mistakes");
    assert!(Arc::ptr_eq(&after[0], &before[0]));
    assert!(!before.iter().any(|c| Arc::ptr_eq(c, &after[1])), "another time-out");
}

#[test]
fn properties_of_encrypted_transports_are_refused_with_their_place() {
    for (lines, why) in [
        (
            "forward . tls://127.0.0.1%x {\ntls_servername a.example\n}",
            "both forward ('a.example') and proxy level ('x') TLS servernames are set for upstream proxy 'tls://127.0.0.1:853'",
        ),
        ("forward . 9.9.9.9 {\ndoh_method PUT\n}", "doh_method must be either POST or GET"),
        ("forward . 9.9.9.9 {\ntls a b c d\n}", "Wrong argument count or unexpected line ending after 'd'"),
    ] {
        let refusal = chain(lines).map(|_| ()).expect_err("refused");
        assert!(refusal.ends_with(why), "{refusal}");
    }
}
