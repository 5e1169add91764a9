//! Connections: many, idle, slow, half open; lengths without messages; more than can be answered.

use super::{Server, exchange, framed, next, query};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Ends soon, so that tests do.
const SHORT: &str = "timeouts {\nread 1s\nidle 1s\n}";

/// What comes until the connection ends, in whichever way.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    if let Err(e) = stream.read_to_end(&mut rest) {
        assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{e}");
    }
    rest
}

#[test]
fn hundreds_of_idle_connections_end_and_hold_up_nobody() {
    let server = Server::start(SHORT);
    let mut idle: Vec<TcpStream> = (0..400).map(|_| server.connect()).collect();
    server.lives();
    idle.iter_mut().for_each(|stream| assert_eq!(rest(stream), b""));
    server.lives();
}

#[test]
fn an_octet_at_a_time_gains_no_time() {
    let server = Server::start(SHORT);
    let mut stream = server.connect();
    let begin = Instant::now();
    let message = framed(&vec![0; 60_000]);
    let ended = message.iter().position(|octet| {
        sleep(Duration::from_millis(50));
        stream.write_all(&[*octet]).is_err()
    });
    assert!(ended.is_some() && begin.elapsed() < super::PATIENCE, "{ended:?}");
    server.lives();
}

#[test]
fn lengths_without_messages_end() {
    let server = Server::start(SHORT);
    for sent in [&b""[..], b"\0", b"\xff\xff", b"\xff\xffmuch less than this", &framed(&query(1))[..9]] {
        let mut waits = server.connect();
        waits.write_all(sent).expect("sent");
        let mut ends = server.connect();
        ends.write_all(sent).expect("sent");
        ends.shutdown(Shutdown::Write).expect("our side ends");
        assert_eq!((rest(&mut waits), rest(&mut ends)), (vec![], vec![]), "{sent:?}");
    }
    let mut nothing = server.connect();
    nothing.write_all(&[0; 2_000]).expect("sent");
    assert_eq!(exchange(&mut nothing, &query(5)).expect("messages of no octets are passed over")[1], 5);
    server.lives();
}

#[test]
fn a_connection_whose_client_says_no_more_is_answered_and_ended() {
    let server = Server::start("");
    let mut stream = server.connect();
    stream.write_all(&framed(&query(5))).expect("sent");
    stream.shutdown(Shutdown::Write).expect("our side ends");
    assert_eq!(next(&mut stream).expect("an answer")[1], 5);
    assert_eq!(rest(&mut stream), b"");
    // And one whose client goes away in the middle.
    drop(server.connect().write_all(&framed(&query(5))[..7]));
    server.lives();
}

#[test]
fn who_sends_and_does_not_read_is_not_read_from() {
    let server = Server::start("timeouts {\nwrite 60s\n}");
    let mut stream = server.connect();
    let batch = framed(&query(5)).repeat(1_000);
    stream.set_nonblocking(true).expect("set");
    let (mut sent, mut since) = (0, Instant::now());
    // Ends when nothing was taken for a while: all buffers on the way are full.
    while since.elapsed() < Duration::from_millis(500) {
        match stream.write(&batch[sent % batch.len()..]) {
            Ok(n) => (sent, since) = (sent + n, Instant::now()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(10)),
            Err(e) => panic!("{e}"),
        }
        assert!(sent < 64 << 20, "{sent} octets were taken of a client that reads nothing");
    }
    server.lives();
    stream.set_nonblocking(false).expect("set");
    let length = framed(&query(5)).len();
    for _ in 0..sent / length {
        assert_eq!(next(&mut stream).expect("all that was sent as a whole is answered")[1], 5);
    }
    server.lives();
}
