//! The daemon with the directive answers, and still has the others.

use api::Transport;
use poddns::inprocess::InProcess;
use poddns::plugins;

const COREFILE: &str = "
hello.example:53 {
    hello \"good day\"
    whoami
}
";

/// A question for `hello.example` of this type.
fn question(rtype: u8) -> Vec<u8> {
    [&b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x05hello\x07example\0\0"[..], &[rtype], b"\0\x01"].concat()
}

#[test]
fn hello_answers_and_whoami_does_below_it() {
    let table = plugins::standard().before("forward", &hello::PLUGIN);
    let mut server = InProcess::start(&table, COREFILE).expect("a server");
    let reply = server.answer(&question(16), Transport::Udp).expect("a reply");
    let record = b"\xc0\x0c\0\x10\0\x01\0\0\0\x3c\0\x09\x08good day";
    assert_eq!(reply[..12], *b"\x12\x34\x85\0\0\x01\0\x01\0\0\0\0");
    assert!(reply.ends_with(record), "{reply:?}");
    let reply = server.answer(&question(1), Transport::Udp).expect("a reply");
    assert_eq!(reply[4..12], *b"\0\x01\0\0\0\0\0\x02", "whoami puts two records into the additional section");
}

#[test]
fn the_standard_daemon_does_not_know_it() {
    let refused = InProcess::start(&plugins::standard(), COREFILE).err().expect("a refusal");
    assert_eq!(refused, "Corefile:3 - Error during parsing: Unknown directive 'hello'");
}
