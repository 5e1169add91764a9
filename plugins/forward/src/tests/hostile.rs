//! Upstreams that lie, and others who try to be them: what does not answer the question is ignored, and the reply counts that
//! does. Where there is none the client gets what CoreDNS's clients get.

use super::{ask, chain, receive, reply, upstream};
use api::wire::{HEADER, flag};
use std::time::Duration;
use tokio::time::timeout;

/// A record of the question's name; its data has 4 octets.
const ADDRESS: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x66";
/// An OPT record.
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

/// A message that pretends to answer `query`.
struct Lie {
    what: &'static str,
    message: fn(&[u8]) -> Vec<u8>,
    /// What the client gets if nothing better comes.
    outcome: &'static str,
}

const NOTHING: &str = "i/o timeout";
const WRONG: &str = "FORMERR rd";
const BROKEN: &str = "NOERROR aa tc";

/// The query as a reply, with a poisoned address and other records behind it; the counts are those of the sections.
fn poisoned(query: &[u8], counts: [u8; 3], records: &[&[u8]]) -> Vec<u8> {
    let mut message = reply(query, flag::AA);
    [message[7], message[9], message[11]] = counts;
    message.extend(records.concat());
    message
}

fn changed(query: &[u8], at: usize, to: impl FnOnce(u8) -> u8) -> Vec<u8> {
    let mut message = poisoned(query, [1, 0, 0], &[ADDRESS]);
    message[at] = to(message[at]);
    message
}

/// All that there are but for the ones over the size of a packet.
const LIES: &[Lie] = &[
    Lie { what: "nothing", message: |_| Vec::new(), outcome: NOTHING },
    Lie { what: "garbage", message: |_| b"\xff\x00 garbage, and more of it".to_vec(), outcome: NOTHING },
    Lie { what: "no whole header", message: |q| q[..HEADER - 1].to_vec(), outcome: NOTHING },
    Lie { what: "another ID", message: |q| changed(q, 1, |id| id ^ 1), outcome: NOTHING },
    Lie { what: "a name that is cut", message: |q| reply(&q[..HEADER + 3], 0), outcome: NOTHING },
    Lie { what: "a reserved label", message: |q| changed(q, HEADER, |_| 0x80), outcome: NOTHING },
    Lie { what: "a question that points to itself", message: |q| changed(q, HEADER, |_| 0xc0), outcome: NOTHING },
    Lie { what: "a query", message: |q| changed(q, 2, |_| 1), outcome: WRONG },
    Lie { what: "another name", message: |q| changed(q, HEADER + 1, |_| b'x'), outcome: WRONG },
    Lie { what: "another type", message: |q| changed(q, q.len() - 3, |_| 28), outcome: WRONG },
    Lie { what: "another class", message: |q| changed(q, q.len() - 1, |_| 3), outcome: WRONG },
    Lie { what: "no question", message: |q| changed(q, 5, |_| 0), outcome: WRONG },
    Lie { what: "two questions", message: |q| changed(q, 5, |_| 2), outcome: WRONG },
    Lie { what: "a cut record", message: |q| poisoned(q, [1, 0, 0], &[&ADDRESS[..14]]), outcome: BROKEN },
    Lie { what: "a cut OPT", message: |q| poisoned(q, [1, 0, 1], &[ADDRESS, &OPT[..9]]), outcome: BROKEN },
    Lie { what: "too few records", message: |q| poisoned(q, [2, 0, 0], &[ADDRESS]), outcome: BROKEN },
    Lie { what: "counts at their maximum", message: |q| poisoned(q, [255; 3], &[ADDRESS]), outcome: BROKEN },
    Lie {
        what: "data behind the end",
        message: |q| poisoned(q, [1, 0, 0], &[&ADDRESS[..10], b"\xff\xff", &ADDRESS[12..]]),
        outcome: BROKEN,
    },
    Lie {
        what: "an owner that points to itself",
        message: |q| poisoned(q, [1, 0, 0], &[&[0xc0, q.len() as u8], &ADDRESS[2..]]),
        outcome: BROKEN,
    },
    Lie {
        what: "an owner that points forward",
        message: |q| poisoned(q, [1, 0, 0], &[&[0xc0, q.len() as u8 + 16], &ADDRESS[2..], b"\x01x\0"]),
        outcome: BROKEN,
    },
    Lie {
        what: "an owner of more than 255 octets",
        message: |q| poisoned(q, [1, 0, 0], &[&[b"\x3f" as &[u8], &[b'x'; 63]].concat().repeat(4), ADDRESS]),
        outcome: BROKEN,
    },
    Lie {
        what: "an alias to a name of more than 255 octets",
        message: |q| {
            let label = [b"\x3f" as &[u8], &[b'x'; 63]].concat().repeat(4);
            poisoned(q, [1, 0, 0], &[b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\x01\x02", &label, b"\xc0\x0c"])
        },
        outcome: BROKEN,
    },
];

#[tokio::test]
async fn the_reply_that_comes_after_a_lie_counts() {
    for Lie { what, message, .. } in LIES {
        let (socket, address) = upstream().await;
        let chain = chain(&format!("forward . {address}")).expect("no mistakes");
        let play = async {
            let (query, client) = receive(&socket).await;
            socket.send_to(&message(&query), client).await.expect("sent");
            tokio::time::sleep(Duration::from_millis(20)).await;
            socket.send_to(&reply(&query, flag::RA), client).await.expect("sent");
        };
        let (answer, ()) = tokio::join!(ask(&chain, "www.example.org A"), play);
        assert_eq!(answer, "NOERROR ra", "{what}");
    }
}

#[tokio::test]
async fn the_reply_of_another_upstream_counts() {
    for Lie { what, message, outcome } in LIES {
        let ((liar, one), (socket, two)) = (upstream().await, upstream().await);
        // Where users set the order, an answer to another question ends it.
        let policy = if *outcome == WRONG { "random" } else { "sequential" };
        let lines = format!("forward . {one} {two} {{\npolicy {policy}\nread_timeout 50ms\n}}");
        let chain = chain(&lines).expect("no mistakes");
        let lies = async {
            loop {
                let (query, client) = receive(&liar).await;
                liar.send_to(&message(&query), client).await.expect("sent");
            }
        };
        let play = async {
            let (query, client) = receive(&socket).await;
            socket.send_to(&reply(&query, flag::RA), client).await.expect("sent");
        };
        let both = async { tokio::join!(ask(&chain, "www.example.org A"), play).0 };
        let answer = tokio::select! {
            answer = timeout(Duration::from_secs(3), both) => answer.ok(),
            () = lies => unreachable!("it never ends"),
        };
        assert_eq!(answer.as_deref(), Some("NOERROR ra"), "{what}");
    }
}

#[tokio::test]
async fn an_order_ends_with_an_answer_to_another_question() {
    for Lie { what, message, .. } in LIES.iter().filter(|lie| lie.outcome == WRONG) {
        let ((liar, one), (socket, two)) = (upstream().await, upstream().await);
        let chain = chain(&format!("forward . {one} {two} {{\npolicy sequential\n}}")).expect("no mistakes");
        for late in [None, Some(Duration::from_millis(20)), None] {
            let play = async {
                let (query, client) = receive(&liar).await;
                liar.send_to(&message(&query), client).await.expect("sent");
                if let Some(late) = late {
                    tokio::time::sleep(late).await;
                    liar.send_to(&reply(&query, flag::RA), client).await.expect("sent");
                }
            };
            let (answer, ()) = tokio::join!(ask(&chain, "www.example.org A"), play);
            assert_eq!(answer, late.map_or(WRONG, |_| "NOERROR ra"), "{what}");
        }
        let asked = timeout(Duration::from_millis(1), receive(&socket)).await.is_ok();
        assert!(!asked, "{what}: another upstream was asked");
    }
}

#[tokio::test]
async fn lies_alone_end_as_they_do_in_coredns() {
    for Lie { what, message, outcome } in LIES {
        let (socket, address) = upstream().await;
        let lines = format!("forward . {address} {{\nread_timeout 30ms\nmax_connect_attempts 1\n}}");
        let chain = chain(&lines).expect("no mistakes");
        let lies = async {
            loop {
                let (query, client) = receive(&socket).await;
                socket.send_to(&message(&query), client).await.expect("sent");
            }
        };
        let answer = tokio::select! {
            answer = ask(&chain, "www.example.org A") => answer,
            () = lies => unreachable!("it never ends"),
        };
        assert!(answer.ends_with(outcome) && !answer.contains("answer"), "{what}: {answer}");
    }
}

#[tokio::test]
async fn replies_may_be_strange() {
    let owner = b"\x05other\0\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x66";
    let good = "NOERROR aa\nanswer www.example.org. 60 IN A 10.0.0.102";
    let opt = "\nopt 1232 ";
    for (what, counts, records, want) in [
        ("octets behind the end", [1, 0, 0], &[ADDRESS, b"and more"][..], good.to_owned()),
        ("two OPT", [1, 0, 2], &[ADDRESS, OPT, OPT], format!("{good}{opt}")),
        ("an OPT in the answer", [2, 0, 0], &[ADDRESS, OPT], format!("{good}{opt}")),
        ("of another name", [1, 0, 0], &[owner], "NOERROR aa\nanswer other. 60 IN A 10.0.0.102".to_owned()),
        (
            "the longest TTL",
            [1, 0, 0],
            &[&ADDRESS[..6], b"\xff\xff\xff\xff", &ADDRESS[10..]],
            good.replace(" 60 ", " 4294967295 "),
        ),
    ] {
        let (socket, address) = upstream().await;
        let chain = chain(&format!("forward . {address}")).expect("no mistakes");
        let play = async {
            let (query, client) = receive(&socket).await;
            socket.send_to(&poisoned(&query, counts, records), client).await.expect("sent");
        };
        let (answer, ()) = tokio::join!(ask(&chain, "www.example.org A"), play);
        assert_eq!(answer, want, "{what}");
    }
}

#[tokio::test]
async fn a_packet_may_be_as_long_as_packets_are() {
    let (socket, address) = upstream().await;
    let chain = chain(&format!("forward . {address}")).expect("no mistakes");
    let play = async {
        let (query, client) = receive(&socket).await;
        let mut noise = vec![0xff; 65_507];
        socket.send_to(&noise, client).await.expect("sent");
        noise[..query.len()].copy_from_slice(&poisoned(&query, [255, 255, 255], &[]));
        socket.send_to(&noise, client).await.expect("sent");
        socket.send_to(&reply(&query, flag::RA), client).await.expect("sent");
    };
    let (answer, ()) = tokio::join!(ask(&chain, "www.example.org A"), play);
    assert_eq!(answer, "NOERROR ra");
}
