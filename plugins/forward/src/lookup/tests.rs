use super::*;
use std::net::TcpListener;
use std::thread;

/// What a resolver sends back over UDP and TCP.
type Answers = fn(query: &[u8], times: usize) -> Vec<Vec<u8>>;

/// A resolver on a port of its own, which ends with the process.
fn resolver(udp: Answers, tcp: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let socket = UdpSocket::bind(address).expect("the same port");
    thread::spawn(move || {
        let (mut packet, mut seen) = ([0; 512], Vec::new());
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let query = packet[..length].to_vec();
            let times = seen.iter().filter(|before| **before == query).count();
            udp(&query, times).iter().for_each(|reply| drop(socket.send_to(reply, client)));
            seen.push(query);
        }
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut query = [0; 512];
            let Ok(length) = stream.read(&mut query) else { continue };
            for reply in tcp(&query[2..length], 0) {
                let _ = stream.write_all(&(reply.len() as u16).to_be_bytes());
                reply.chunks(7).for_each(|piece| drop(stream.write_all(piece)));
            }
        }
    });
    address
}

fn ask(resolver: SocketAddr) -> Result<Vec<String>, String> {
    let (name, clock) = (Name::from_text("Dns.example").expect("a name"), Clock::system());
    let until = clock.now() + Duration::from_secs(2);
    let found = addresses(&Asking { resolver, name: name.as_ref(), clock: &clock, until });
    found.map(|found| found.iter().map(ToString::to_string).collect()).map_err(|e| e.to_string())
}

fn is_a(query: &[u8]) -> bool {
    query[query.len() - 3] == 1
}

/// A reply to `query` with `flags` and these records in its answer.
fn reply(query: &[u8], flags: u16, records: &[&[u8]]) -> Vec<u8> {
    let mut reply = [query, &records.concat()].concat();
    reply[2..4].copy_from_slice(&(flag::QR | flags).to_be_bytes());
    reply[7] = records.len() as u8;
    reply
}

const A: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x01";
const AAAA: &[u8] = b"\xc0\x0c\0\x1c\0\x01\0\0\0\x05\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01";
const ELSEWHERE: &[u8] = b"\x05other\0\0\x01\0\x01\0\0\0\x05\0\x04\x0a\0\0\x66";

fn good(query: &[u8]) -> Vec<u8> {
    reply(query, 0, &[if is_a(query) { A } else { AAAA }])
}

fn nothing(_: &[u8], _: usize) -> Vec<Vec<u8>> {
    Vec::new()
}

fn of_both(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn both_families_are_asked_for() {
    let both = of_both("10.0.0.1 2001:db8::1");
    assert_eq!(ask(resolver(|query, _| vec![good(query)], nothing)), Ok(both.clone()));
    let late = resolver(|query, times| if times == 1 { vec![good(query)] } else { Vec::new() }, nothing);
    assert_eq!(ask(late), Ok(both), "what gets lost is sent again");
    let one = resolver(|query, _| if is_a(query) { nothing(query, 0) } else { vec![good(query)] }, nothing);
    assert_eq!(ask(one), Ok(of_both("2001:db8::1")));
}

#[test]
fn what_does_not_match_is_ignored() {
    let hostile: Answers = |query, _| {
        let good = good(query);
        let changed = |at: usize, to: u8| {
            let mut message = good.clone();
            message[at] = to;
            message[good.len() - 1] ^= 0x66;
            message
        };
        vec![
            changed(0, query[0] ^ 1),
            changed(2, 0),
            changed(2, 0xa0),
            changed(5, 0),
            changed(14, b'x'),
            changed(query.len() - 1, 3),
            good[..query.len() - 1].to_vec(),
            Vec::new(),
            good,
        ]
    };
    assert_eq!(ask(resolver(hostile, nothing)), Ok(of_both("10.0.0.1 2001:db8::1")));
}

#[test]
fn truncated_replies_are_asked_for_over_tcp() {
    let truncated: Answers = |query, _| vec![reply(query, flag::TC, &[])];
    let whole: Answers = |query, _| vec![good(query)];
    assert_eq!(ask(resolver(truncated, whole)), Ok(of_both("10.0.0.1 2001:db8::1")));
    let other: Answers = |query, _| vec![good(&[b"xx", &query[2..]].concat())];
    assert_eq!(ask(resolver(truncated, other)), Err("the reply does not match".into()));
    assert_eq!(ask(resolver(truncated, nothing)), Err(io::Error::from(ErrorKind::UnexpectedEof).to_string()));
}

#[test]
fn only_addresses_of_the_host_count() {
    let alias: Answers = |query, _| {
        let target: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x07\x05OTHER\0";
        let loops: &[u8] = b"\x05other\0\0\x05\0\x01\0\0\0\x05\0\x02\xc0\x0c";
        let records = if is_a(query) { [ELSEWHERE, target, A] } else { [target, loops, AAAA] };
        vec![reply(query, 0, &records)]
    };
    assert_eq!(ask(resolver(alias, nothing)), Ok(of_both("10.0.0.102 2001:db8::1")));
    let poison: Answers = |query, _| vec![reply(query, 0, &[ELSEWHERE])];
    assert_eq!(ask(resolver(poison, nothing)), Ok(Vec::new()));
}

#[test]
fn failures() {
    let refused = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    assert!(ask(refused).is_err_and(|e| e.starts_with("Connection refused")));
    assert_eq!(ask(resolver(nothing, nothing)), Err("i/o timeout".into()));
    assert_eq!(ask(resolver(|query, _| vec![reply(query, 2, &[])], nothing)), Err("server misbehaving".into()));
    assert_eq!(ask(resolver(|query, _| vec![reply(query, 3, &[])], nothing)), Ok(Vec::new()));
    let cut: Answers = |query, _| vec![reply(query, 0, &[&A[..10]])];
    assert_eq!(ask(resolver(cut, nothing)), Err("malformed message".into()));
}
