//! Messages, the same over UDP and TCP: counts, names, pointers, operation codes, EDNS, TSIG, PROXY headers, sizes.

use super::{Server, framed, next, query};
use std::io::Write;
use std::net::UdpSocket;

/// A message and what is said to it: the response code, or nothing.
struct Case {
    what: String,
    message: Vec<u8>,
    reply: Option<u8>,
}

const NOERROR: Option<u8> = Some(0);
const FORMERR: Option<u8> = Some(1);
const NOTIMP: Option<u8> = Some(4);
const REFUSED: Option<u8> = Some(5);

const QUESTION: &[u8] = b"\x01a\x04test\0\0\x01\0\x01";
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

fn case(what: &str, message: Vec<u8>, reply: Option<u8>) -> Case {
    Case { what: what.into(), message, reply }
}

/// A message with RD, these counts and what follows the header.
fn message(counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    let mut message = b"\xab\xcd\x01\0".to_vec();
    counts.iter().for_each(|n| message.extend(n.to_be_bytes()));
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}

/// A question for this name, of type A.
fn asks(name: &[u8]) -> Vec<u8> {
    message([1, 0, 0, 0], &[name, b"\0\x01\0\x01"])
}

/// A record behind the question, in the section whose count is this one.
fn with_record(section: usize, record: &[u8]) -> Vec<u8> {
    let mut counts = [1, 0, 0, 0];
    counts[section] = 1;
    message(counts, &[QUESTION, record])
}

fn headers() -> Vec<Case> {
    let mut cases = vec![
        case("nothing", vec![], None),
        case("an octet", vec![0], None),
        case("most of a header", query(1)[..11].to_vec(), None),
        case("a header", message([0; 4], &[]), FORMERR),
        case("a header that promises a question", message([1, 0, 0, 0], &[]), FORMERR),
        case("no question", message([0, 0, 0, 0], &[QUESTION]), FORMERR),
        case("all counts at their maxima", message([u16::MAX; 4], &[QUESTION]), FORMERR),
        case("a reply", [&[0xab, 0xcd, 0x81, 0][..], &query(1)[4..]].concat(), None),
        case("something behind the end", message([1, 0, 0, 0], &[QUESTION, &[0xff; 100]]), NOERROR),
    ];
    for section in 0..4 {
        let mut counts = [1, 0, 0, 0];
        counts[section] = u16::MAX;
        cases.push(case(&format!("count {section} at its maximum"), message(counts, &[QUESTION]), FORMERR));
    }
    for opcode in (0..16_u8).filter(|opcode| *opcode != 4) {
        let mut message = query(1);
        message[2] = opcode << 3;
        cases.push(case(&format!("opcode {opcode}"), message, if opcode == 0 { NOERROR } else { NOTIMP }));
    }
    cases
}

fn names() -> Vec<Case> {
    let label = |octets: usize| [&[octets as u8][..], &vec![b'x'; octets]].concat();
    let long = |last: usize| [&label(63).repeat(3)[..], &label(last), b"\0"].concat();
    vec![
        case("a label of 63 octets", asks(&[&label(63)[..], b"\0"].concat()), NOERROR),
        case("a label of 64 octets", asks(&[&label(64)[..], b"\0"].concat()), FORMERR),
        case("a name of 255 octets", asks(&long(61)), NOERROR),
        case("a name of 256 octets", asks(&long(62)), FORMERR),
        case("127 labels", asks(&[&b"\x01x".repeat(127)[..], b"\0"].concat()), NOERROR),
        case("128 labels", asks(&[&b"\x01x".repeat(128)[..], b"\0"].concat()), FORMERR),
        case("the root", asks(b"\0"), NOERROR),
        case("labels of any octets", asks(&[&[32][..], &(0..32).collect::<Vec<u8>>(), b"\0"].concat()), NOERROR),
        case("a label without an end", asks(&[63]), FORMERR),
        case("a name without an end", message([1, 0, 0, 0], &[b"\x01a"]), FORMERR),
        case("a reserved kind of label", asks(b"\x80\0"), FORMERR),
        case("a bit-string label", asks(b"\x41\x01\x80\0"), FORMERR),
        case("a question of another class", message([1, 0, 0, 0], &[b"\0\0\x01\xff\xff"]), REFUSED),
        case("a type that nobody knows", message([1, 0, 0, 0], &[b"\x01a\0\xff\xfe\0\x01"]), NOERROR),
    ]
}

fn pointers() -> Vec<Case> {
    let owner =
        |pointer: u16| [&(0xc000 | pointer).to_be_bytes()[..], b"\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x01"].concat();
    let soa = |name: &[u8]| {
        let data = [name, name, &[0; 20]].concat();
        [b"\xc0\x0c\0\x06\0\x01\0\0\0\0", &(data.len() as u16).to_be_bytes()[..], &data].concat()
    };
    let end = 12 + QUESTION.len() as u16;
    vec![
        case("a question that points to itself", asks(b"\xc0\x0c"), FORMERR),
        case("a question that points behind itself", asks(b"\xc0\x10"), FORMERR),
        case("a question that points into the header", asks(b"\x01a\xc0\x00"), FORMERR),
        case("a question with half a pointer", message([1, 0, 0, 0], &[b"\xc0"]), FORMERR),
        case("an owner that points to the question", with_record(1, &owner(12)), NOERROR),
        case("an owner that points to itself", with_record(1, &owner(end)), FORMERR),
        case("an owner that points behind itself", with_record(1, &owner(end + 2)), FORMERR),
        case("an owner that points out of the message", with_record(2, &owner(0x3fff)), FORMERR),
        case(
            "a name in data that points to itself",
            with_record(2, &soa(&(0xc000 | (end + 12)).to_be_bytes())),
            FORMERR,
        ),
        case("names in data that point to the question", with_record(2, &soa(b"\xc0\x0c")), NOERROR),
        case(
            "names in data that grow over 255 octets",
            with_record(2, &soa(&[&[&[63][..], &[b'x'; 63]].concat().repeat(4)[..], b"\xc0\x0c"].concat())),
            FORMERR,
        ),
        case("pointers to pointers", with_record(3, &bomb(end)), FORMERR),
    ]
}

/// A record whose data, of no known type, is a ladder of pointers, and whose owner is at its top: each step is read once, or not
/// at all.
fn bomb(end: u16) -> Vec<u8> {
    let ladder: Vec<u8> =
        (0..2_000).flat_map(|step| (0xc000 | (end + 12 + 2 * (step + 1)) & 0x3fff).to_be_bytes()).collect();
    let owner = (0xc000 | (end + 12)).to_be_bytes();
    [&owner[..], b"\xff\x01\0\x01\0\0\0\0", &(ladder.len() as u16).to_be_bytes(), &ladder].concat()
}

fn edns() -> Vec<Case> {
    let opt = |version: u8, size: u16, options: &[u8]| {
        let (size, len) = (size.to_be_bytes(), (options.len() as u16).to_be_bytes());
        with_record(3, &[b"\0\0\x29", &size[..], &[0, version, 0, 0], &len, options].concat())
    };
    let tsig = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x1a\x08hmac-md5\0\0\0\0\0\0\0\x01\x2c\0\0\xab\xcd\0\0\0\0";
    let mut cases = vec![
        case("EDNS", opt(0, 1232, b""), NOERROR),
        case("EDNS twice", message([1, 0, 0, 2], &[QUESTION, OPT, OPT]), FORMERR),
        case("EDNS among the answers", with_record(1, OPT), FORMERR),
        case("EDNS with a name", with_record(3, &[b"\x01a", OPT].concat()), FORMERR),
        case("half an OPT record", with_record(3, &OPT[..6]), FORMERR),
        case("an option longer than its record", opt(0, 1232, b"\0\x03\xff\xff"), FORMERR),
        case("half an option", opt(0, 1232, b"\0\x03\0"), FORMERR),
        case("EDNS of no octets", opt(0, 0, b""), NOERROR),
        case("EDNS of 65,535 octets", opt(0, u16::MAX, b""), NOERROR),
        case("options without end", opt(0, 1232, &b"\xff\xfe\0\0".repeat(800)), NOERROR),
        case("TSIG where no key is set", with_record(3, tsig), NOERROR),
    ];
    // BADVERS is 16: the code's lower bits are 0, its upper bits stand in the OPT record.
    cases.extend([1, 2, 255].map(|version| case(&format!("EDNS version {version}"), opt(version, 1232, b""), NOERROR)));
    cases
}

fn others() -> Vec<Case> {
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x35\0\x35";
    let proxied = |header: &[u8]| [header, &query(1)].concat();
    vec![
        case("a PROXY header, version 1", proxied(b"PROXY UDP4 127.0.0.1 127.0.0.1 1 53\r\n"), NOTIMP),
        case("a PROXY header, version 2", proxied(v2), NOTIMP),
        case("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), NOTIMP),
        case("64 KiB", message([1, 0, 0, 0], &[QUESTION, &vec![0; 60_000]]), NOERROR),
        case("64 KiB of nothing else", vec![0; 65_000], FORMERR),
    ]
}

#[test]
fn every_message_gets_what_it_should_over_every_transport() {
    let server = Server::start("");
    let to = ("127.0.0.1", server.dns.number());
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    udp.set_read_timeout(Some(super::PATIENCE)).expect("set");
    udp.connect(to).expect("an address");
    for Case { what, message, reply } in [headers(), names(), pointers(), edns(), others()].into_iter().flatten() {
        // What gets no reply is told from what comes late by a query behind it.
        udp.send(&message).expect("sent");
        udp.send(&query(3)).expect("sent");
        let received = || {
            let mut datagram = vec![0; 65_536];
            let n = udp.recv(&mut datagram).unwrap_or_else(|e| panic!("{what}: {e}"));
            datagram.truncate(n);
            datagram
        };
        let mut first = Some(received());
        if reply.is_some() {
            check(&what, &message, first.take().as_deref(), reply);
        }
        let last = first.unwrap_or_else(received);
        assert_eq!(last[..2], [0, 3], "{what}: no reply of its own");

        let mut stream = server.connect();
        stream.write_all(&[framed(&message), framed(&query(3))].concat()).expect("sent");
        if reply.is_some() {
            check(&what, &message, next(&mut stream).as_deref(), reply);
        }
        assert_eq!(next(&mut stream).map(|last| last[1]), Some(3), "{what} over TCP");
    }
    server.lives();
}

/// The reply is one, has the code, and is not much longer than the message: no more than what `whoami` tells.
fn check(what: &str, message: &[u8], reply: Option<&[u8]>, code: Option<u8>) {
    let reply = reply.unwrap_or_else(|| panic!("{what}: no reply"));
    assert_eq!(reply[..2], message[..2], "{what}: the ID");
    assert_eq!((reply[2] & 0x80, Some(reply[3] & 15)), (0x80, code), "{what}: {reply:?}");
    let most = message.len() + if code == NOERROR { 70 } else { 0 };
    assert!(reply.len() <= most, "{what}: {} octets for {}", reply.len(), message.len());
}
