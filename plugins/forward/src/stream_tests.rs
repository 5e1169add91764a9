//! Stream connections, against upstreams that are played by the tests.

use crate::dial::Config;
use crate::metrics;
use crate::pool::Keep;
use crate::stream::Streams;
use crate::upstream::Fault;
use api::task::Carry;
use api::test::world;
use api::{Clock, Error};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// An upstream, and the connections to it.
struct Played {
    listener: TcpListener,
    streams: Streams,
    clock: Clock,
}

impl Played {
    async fn new(keep: Keep) -> Played {
        let clock = Clock::manual();
        world(clock.clone(), Carry::default()); // which lets connections have their tasks
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let streams = Streams::new(Config {
            address: Ok(address),
            source: None,
            tls: None,
            patience: Duration::from_secs(5),
            keep,
            clock: clock.clone(),
            metrics: Arc::new(metrics::Upstream::new(&address.to_string())),
            idle: AtomicUsize::new(0),
        });
        Played { listener, streams, clock }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The reply to a query that ends with this octet, in its own words.
    async fn ask(&self, id: u16, body: u8) -> Result<(u16, u8), String> {
        let reply =
            timeout(Duration::from_secs(5), self.streams.ask(query(id, body), self.now())).await.expect("in time");
        reply.map(|reply| (u16::from_be_bytes([reply[0], reply[1]]), reply[12])).map_err(words)
    }

    async fn accept(&self) -> TcpStream {
        timeout(Duration::from_secs(5), self.listener.accept()).await.expect("in time").expect("a connection").0
    }

    /// Nobody opens another connection.
    async fn nobody(&self) {
        let more = timeout(Duration::from_millis(20), self.listener.accept()).await;
        assert!(more.is_err(), "another connection");
    }
}

const KEEP: Keep = Keep { expire: Duration::from_secs(10), max_age: None, max_idle: 0 };

fn words(fault: Fault) -> String {
    match fault {
        Fault::Failed(error) => Error::to_string(&error),
        Fault::Wrong(_) => "wrong".to_owned(),
    }
}

/// A header and one octet.
fn query(id: u16, body: u8) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[0; 10], &[body]].concat()
}

async fn read(stream: &mut TcpStream) -> Vec<u8> {
    let length = stream.read_u16().await.expect("a frame");
    let mut query = vec![0; length.into()];
    stream.read_exact(&mut query).await.expect("a query");
    query
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

async fn write(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&framed(message)).await.expect("written");
}

#[tokio::test]
async fn many_queries_share_a_connection_and_replies_come_in_any_order() {
    let played = Played::new(KEEP).await;
    let play = async {
        let mut stream = played.accept().await;
        let queries = [read(&mut stream).await, read(&mut stream).await, read(&mut stream).await];
        assert!(queries[0][..2] != queries[1][..2], "IDs of their own");
        let mut octets = framed(&[9; 40]); // nobody's
        octets.extend(framed(b"x"));
        octets.extend(framed(b""));
        queries.iter().rev().for_each(|query| octets.extend(framed(query)));
        octets.extend(framed(&queries[1])); // once more
        for part in octets.chunks(7) {
            stream.write_all(part).await.expect("written");
            tokio::task::yield_now().await;
        }
        let again = read(&mut stream).await;
        write(&mut stream, &again).await;
        played.nobody().await;
    };
    let asked = async {
        let all = tokio::join!(played.ask(7, 1), played.ask(7, 2), played.ask(8, 3));
        assert_eq!(all, (Ok((7, 1)), Ok((7, 2)), Ok((8, 3))));
        assert_eq!(played.ask(9, 4).await, Ok((9, 4)));
    };
    tokio::join!(asked, play);
}

#[tokio::test]
async fn a_query_behind_others_on_a_connection_that_is_closed_goes_again() {
    let played = Played::new(KEEP).await;
    let play = async {
        let mut stream = played.accept().await;
        let first = read(&mut stream).await;
        read(&mut stream).await;
        write(&mut stream, &first).await;
        drop(stream);
        let mut stream = played.accept().await;
        let again = read(&mut stream).await;
        write(&mut stream, &again).await;
    };
    let asked = async { tokio::join!(played.ask(1, 1), played.ask(2, 2)) };
    let (all, ()) = tokio::join!(asked, play);
    assert_eq!(all, (Ok((1, 1)), Ok((2, 2))));
}

#[tokio::test]
async fn a_connection_that_breaks_says_how() {
    let played = Played::new(KEEP).await;
    for (octets, why) in [(&b""[..], "EOF"), (b"\0", "unexpected EOF"), (b"\0\x20abc", "unexpected EOF")] {
        let play = async {
            let mut stream = played.accept().await;
            read(&mut stream).await;
            stream.write_all(octets).await.expect("written");
        };
        assert_eq!(tokio::join!(played.ask(1, 1), play).0, Err(why.to_owned()));
    }
    let play = async {
        let mut stream = played.accept().await;
        stream.read_u8().await.expect("a frame"); // what is left unread makes it a reset
        stream.write_u8(0).await.expect("written");
    };
    let reset = tokio::join!(played.ask(1, 1), play).0.expect_err("reset");
    assert!(reset.starts_with("read tcp 127.0.0.1:") && reset.ends_with(": read: connection reset by peer"), "{reset}");
    let address = played.listener.local_addr().expect("an address");
    let Played { listener, streams, clock } = played;
    drop(listener);
    let refused = streams.ask(query(1, 1), clock.now()).await.map_err(words);
    assert_eq!(refused, Err(format!("dial tcp {address}: connect: connection refused")));
}

/// Answers one query.
async fn echo(stream: &mut TcpStream) {
    let query = read(stream).await;
    write(stream, &query).await;
}

async fn is_closed(mut stream: TcpStream) {
    let read = timeout(Duration::from_secs(5), stream.read(&mut [0])).await.expect("in time");
    assert_eq!(read.expect("no error"), 0, "closed");
}

#[tokio::test]
async fn connections_are_closed_when_their_time_is_over() {
    for keep in [KEEP, Keep { expire: Duration::from_secs(100), max_age: Some(Duration::from_secs(10)), ..KEEP }] {
        let played = Played::new(keep).await;
        for seconds in [0, 11] {
            // Found too old by the next query, and by the sweep.
            played.clock.advance(Duration::from_secs(seconds));
            let (asked, mut stream) = tokio::join!(played.ask(1, 1), async {
                let mut stream = played.accept().await;
                echo(&mut stream).await;
                stream
            });
            assert_eq!(asked, Ok((1, 1)));
            played.clock.advance(Duration::from_secs(9));
            played.streams.sweep(played.now());
            assert_eq!(tokio::join!(played.ask(1, 2), echo(&mut stream)).0, Ok((1, 2)), "still open");
            if seconds > 0 {
                played.clock.advance(Duration::from_secs(11));
                played.streams.sweep(played.now());
                is_closed(stream).await;
            }
        }
    }
}

#[tokio::test]
async fn idle_connections_over_the_limit_are_closed() {
    let played = Played::new(Keep { max_idle: 1, ..KEEP }).await;
    let mut asked: Vec<_> = (0..17).map(|id| played.streams.ask(query(id, 0), played.now())).collect();
    let (mut one, mut two) = (played.accept().await, played.accept().await);
    let play = async {
        for _ in 0..16 {
            echo(&mut one).await;
        }
    };
    let all = async {
        for answer in &mut asked[..16] {
            answer.await.expect("a reply");
        }
    };
    tokio::join!(all, play);
    let (last, ()) = tokio::join!(asked.pop().expect("the last one"), echo(&mut two));
    assert_eq!(last.map_err(words), Ok(query(16, 0)));
    is_closed(two).await;
    assert_eq!(tokio::join!(played.ask(1, 1), echo(&mut one)).0, Ok((1, 1)), "the other one is kept");
}

#[tokio::test]
async fn a_connection_of_its_own_is_closed_then() {
    let played = Played::new(Keep { max_idle: 1, ..KEEP }).await;
    for _ in 0..2 {
        let alone = async { played.streams.ask_alone(query(5, 5), played.now()).await.expect("a reply") };
        let play = async {
            let mut stream = played.accept().await;
            echo(&mut stream).await;
            stream
        };
        let (reply, stream) = tokio::join!(alone, play);
        assert_eq!(reply, query(5, 5));
        is_closed(stream).await;
    }
}

#[tokio::test]
async fn what_is_given_up_is_not_taken_for_another_query() {
    let played = Played::new(KEEP).await;
    let given_up = played.streams.ask(query(1, 1), played.now());
    assert!(given_up.timed_out().to_string().starts_with("dial tcp 127.0.0.1:"));
    let mut stream = played.accept().await;
    let late = read(&mut stream).await;
    let words = given_up.timed_out().to_string();
    assert!(words.starts_with("read tcp 127.0.0.1:") && words.ends_with(": i/o timeout"), "{words}");
    drop(given_up);
    let play = async {
        let other = read(&mut stream).await;
        write(&mut stream, &late).await;
        write(&mut stream, &other).await;
    };
    assert_eq!(tokio::join!(played.ask(2, 2), play).0, Ok((2, 2)));
}

#[tokio::test]
async fn a_connection_that_nothing_comes_from_is_replaced() {
    let played = Played::new(KEEP).await;
    let silent = played.streams.ask(query(1, 1), played.now());
    let mut stream = played.accept().await;
    read(&mut stream).await;
    played.clock.advance(Duration::from_millis(200));
    let fresh = async { echo(&mut played.accept().await).await };
    assert_eq!(tokio::join!(played.ask(2, 2), fresh).0, Ok((2, 2)), "beside the one that stalls");
    played.clock.advance(Duration::from_secs(2));
    drop(silent);
    is_closed(stream).await;
}

#[tokio::test]
async fn there_are_only_so_many_queries_and_connections() {
    let played = Played::new(KEEP).await;
    let most = 32 * 64;
    let waiting: Vec<_> = (0..most).map(|id| played.streams.ask(query(id, 0), played.now())).collect();
    let refused = played.ask(1, 1).await.expect_err("too many");
    assert!(refused.starts_with("too many queries in flight to 127.0.0.1:"), "{refused}");
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(played.accept().await);
    }
    played.nobody().await;
    drop(waiting);
    for stream in streams {
        read_all(stream).await;
    }
}

/// Reads what is left, until the connection is closed.
async fn read_all(mut stream: TcpStream) {
    let all = timeout(Duration::from_secs(5), stream.read_to_end(&mut Vec::new())).await;
    all.expect("closed in time").expect("no error");
}

#[tokio::test]
async fn an_upstream_that_does_not_read_is_written_to_later() {
    let played = Played::new(KEEP).await;
    let long = [query(1, 1), vec![0; 65_000]].concat();
    let asked: Vec<_> = (0..100).map(|_| played.streams.ask(long.clone(), played.now())).collect();
    let mut connections = Vec::new();
    for _ in 0..32 {
        connections.push(played.accept().await);
    }
    let full = asked.into_iter().map(|mut answer| async move {
        let first = std::pin::Pin::new(&mut answer);
        timeout(Duration::ZERO, first).await.is_err()
    });
    let mut waiting = 0;
    for answer in full {
        waiting += usize::from(answer.await);
    }
    assert!((32..100).contains(&waiting), "{waiting} wait, the others are refused");
}
