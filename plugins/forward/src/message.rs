//! The messages of an exchange: the query as the upstream gets it, and whether what came back answers it.

use api::name::same_octets;
use api::wire::{self, HEADER, Malformed, flag};
use api::{NameRef, Query, Rcode, RecordType};

/// Writes the query that asks an upstream for what `q` asks: its flags, question, OPT (but for `plain` queries) and other records,
/// under another ID.
pub fn write_query(q: &Query, id: u16, plain: bool, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice([id, q.flags(), 1, 0, 0, 0].map(u16::to_be_bytes).as_flattened());
    out.extend_from_slice(q.question.original().as_bytes());
    push(out, q.question.rtype.0);
    push(out, q.question.class.0);
    let others = q.packet().get(6..HEADER).is_some_and(|counts| counts != [0, 0, 0, 0, 0, 0]);
    if others && copy_records(q, &ANSWER_AND_AUTHORITY, out).is_err() {
        return;
    }
    if !plain {
        write_opt(q, out);
    }
    if others {
        // Checked when the query was read: there is nothing to do about an error.
        let _ = copy_records(q, &ADDITIONAL, out);
    }
}

/// Places of sections' counts in the header.
const ANSWER_AND_AUTHORITY: [usize; 2] = [6, 8];
const ADDITIONAL: [usize; 1] = [10];

fn write_opt(q: &Query, out: &mut Vec<u8>) {
    let Some(edns) = q.edns else { return };
    let options = u16::try_from(q.edns_options.len()).unwrap_or(0);
    out.push(0);
    push(out, RecordType::OPT.0);
    push(out, edns.size);
    push(out, u16::from(edns.version));
    push(out, if edns.dnssec_ok { 0x8000 } else { 0 });
    push(out, options);
    out.extend_from_slice(&q.edns_options[..options.into()]);
    count(out, 10);
}

/// Appends the records of some sections of the client's message, but OPT: SOA records of IXFR, TSIG and the like.
#[cold]
fn copy_records(q: &Query, sections: &[usize], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let packet = q.packet();
    let mut at = packet.len() - q.packet_rest().len();
    for section in [6, 8, 10] {
        for _ in 0..wire::u16_at(packet, section)? {
            let record = wire::read_record(packet, at)?;
            at = record.end;
            if !sections.contains(&section) || record.rtype == RecordType::OPT {
                continue;
            }
            wire::read_name(packet, record.start, out)?;
            out.extend_from_slice(&packet[record.rdata - 10..record.rdata - 2]);
            let length = out.len();
            push(out, 0);
            wire::read_rdata(packet, record.rtype, record.rdata, record.end, out)?;
            let data = (out.len() - length - 2) as u16;
            out[length..length + 2].copy_from_slice(&data.to_be_bytes());
            count(out, section);
        }
    }
    Ok(())
}

fn push(out: &mut Vec<u8>, n: u16) {
    out.extend_from_slice(&n.to_be_bytes());
}

/// Adds one to the count at `field` of the header.
fn count(out: &mut [u8], field: usize) {
    let n = u16::from_be_bytes([out[field], out[field + 1]]).wrapping_add(1);
    out[field..field + 2].copy_from_slice(&n.to_be_bytes());
}

/// What a message is that came from an upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The reply that is waited for; it has been taken over.
    Reply,
    /// It has the ID of the query, and no or another question: the upstream cannot do better. FORMERR, unless a reply comes.
    Wrong,
    /// A reply that is malformed behind its question. A truncated one without records, unless another comes.
    Malformed,
    /// Anything else: a late reply to another query, a forgery, noise.
    Foreign,
}

/// Takes `message` over as the reply to `q`, which was sent on with `id`, or prepares what the client gets if there is no better
/// one. A malformed message that says that it is truncated is a reply, without records.
pub fn take_reply(q: &mut Query, id: u16, message: &[u8]) -> Verdict {
    let verdict = judge(q, id, message);
    match verdict {
        Verdict::Foreign => return verdict,
        Verdict::Wrong => q.respond().set_rcode(Rcode::FORMERR),
        _ if q.reply.adopt(message).is_ok() => q.reply.set_id(q.id()),
        _ => {
            let flags = wire::u16_at(message, 2).unwrap_or(0);
            let reply = q.respond();
            reply.set_flags(!flag::OPCODE, flags | flag::TC);
            reply.set_rcode(rcode(message));
            return if flags & flag::TC == 0 { Verdict::Malformed } else { Verdict::Reply };
        }
    }
    verdict
}

/// Whether a message is a reply to the query that was sent with `id`: same ID, one question, which is the same but for case.
fn judge(q: &Query, id: u16, message: &[u8]) -> Verdict {
    let word = |at| wire::u16_at(message, at).unwrap_or(0);
    if !is_sign_of_life(id, message) {
        return Verdict::Foreign;
    }
    if word(2) & flag::QR == 0 || word(4) != 1 {
        return Verdict::Wrong;
    }
    let (asked, end) = (q.question.original().as_bytes(), HEADER + q.question.original().as_bytes().len());
    // Lengths of labels have no case.
    let same =
        message.get(HEADER..end).is_some_and(|name| same_octets(name, asked) || name.eq_ignore_ascii_case(asked))
            && message.len() >= end + 4
            && (word(end), word(end + 2)) == (q.question.rtype.0, q.question.class.0);
    if same {
        Verdict::Reply
    } else if NameRef::read(&message[HEADER..]).is_some() {
        Verdict::Wrong
    } else {
        Verdict::Foreign
    }
}

/// The response code in a message's header.
pub fn rcode(message: &[u8]) -> Rcode {
    Rcode(wire::u16_at(message, 2).unwrap_or(0) & flag::RCODE)
}

/// Whether an upstream that sends this is alive: a message with the ID of the query.
pub fn is_sign_of_life(id: u16, message: &[u8]) -> bool {
    message.len() >= HEADER && wire::u16_at(message, 0) == Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{query, text};

    fn written(q: &Query) -> Vec<u8> {
        let mut out = vec![1, 2, 3];
        write_query(q, 0x0102, false, &mut out);
        out
    }

    #[test]
    fn a_query_goes_on_as_it_came_but_for_its_id() {
        for question in
            ["www.Example.org A", ". NS +nord", "a.org TXT CH", "a.org A +do +bufsize=4096 +opt=10:0102030405060708"]
        {
            let q = query(question);
            let mut want = q.packet().to_vec();
            want[..2].copy_from_slice(&[1, 2]);
            assert_eq!(written(&q), want, "{question}");
        }
    }

    #[test]
    fn what_plugins_changed_goes_on_changed() {
        let mut q = query("www.example.org A +bufsize=4096");
        q.set_flags(flag::CD, flag::CD);
        q.question.set_name(api::Name::from_text("other.example.net").expect("a name").as_ref());
        q.edns = q.edns.map(|edns| api::Edns { size: 1232, ..edns });
        let mut sent = query("other.example.net A +bufsize=1232").packet().to_vec();
        sent[..4].copy_from_slice(&[1, 2, 1, 0x10]);
        assert_eq!(written(&q), sent);
        let own = q.ask_too(q.name(), RecordType::A);
        assert_eq!(written(&own), sent);
        assert_eq!(own.packet()[2..], sent[2..]);
    }

    #[test]
    fn other_records_go_on_uncompressed() {
        let mut packet = query("a.org AXFR").packet().to_vec();
        packet[9] = 1; // NSCOUNT
        packet[11] = 1; // ARCOUNT
        packet.extend_from_slice(b"\xc0\x0c\0\x06\0\x01\0\0\0\x01\0\x18\xc0\x0c\xc0\x0c");
        packet.extend_from_slice(&[7; 20]);
        packet.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
        let mut q = Query::default();
        q.parse(&packet).expect("well formed");
        let sent = written(&q);
        let name = b"\x01a\x03org\0";
        let soa = [&name[..], b"\0\x06\0\x01\0\0\0\x01\0\x22", name, name, &[7; 20]].concat();
        let rest = &sent[packet.len() - q.packet_rest().len()..];
        assert_eq!(rest, [&soa[..], b"\0\0\x29\x04\xd0\0\0\0\0\0\0"].concat());
        assert_eq!(sent[6..HEADER], packet[6..HEADER]);
    }

    /// A reply to `question` with `flags`, and `rest` behind the question.
    fn reply(question: &str, flags: u16, rest: &[u8]) -> Vec<u8> {
        let mut message = written(&query(question));
        message[2..4].copy_from_slice(&(flag::QR | flags).to_be_bytes());
        message.extend_from_slice(rest);
        message
    }

    #[test]
    fn replies_that_answer() {
        let address = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01";
        let mut message = reply("WWW.example.org A", flag::RA, address);
        message[7] = 1;
        let mut q = query("www.example.org A");
        assert_eq!(take_reply(&mut q, 0x0102, &message), Verdict::Reply);
        assert_eq!(text(&q), "NOERROR ra\nanswer WWW.example.org. 60 IN A 10.0.0.1");
        assert_eq!(q.reply.bytes()[..2], q.id().to_be_bytes());
    }

    #[test]
    fn replies_that_do_not_answer() {
        use Verdict::{Foreign, Malformed, Wrong};
        let said = |verdict| match verdict {
            Wrong => "FORMERR rd",
            Malformed => "NOERROR tc",
            _ => "nothing",
        };
        let good = reply("www.example.org A", 0, &[]);
        let changed = |at: usize, to: u8| {
            let mut message = good.clone();
            message[at] = to;
            message
        };
        let cases = [
            ("another ID", changed(1, 3), Foreign),
            ("no whole header", good[..11].to_vec(), Foreign),
            ("a broken name", changed(12, 0x40), Foreign),
            ("no reply", changed(2, 0), Wrong),
            ("no question", changed(5, 0), Wrong),
            ("two questions", changed(5, 2), Wrong),
            ("another name", changed(14, b'x'), Wrong),
            ("another type", changed(good.len() - 3, 2), Wrong),
            ("another class", changed(good.len() - 1, 3), Wrong),
            ("no whole question", good[..good.len() - 1].to_vec(), Wrong),
            ("an answer that is not there", changed(7, 1), Malformed),
        ];
        for (what, message, verdict) in cases {
            let mut q = query("www.example.org A");
            assert_eq!(take_reply(&mut q, 0x0102, &message), verdict, "{what}");
            assert_eq!(text(&q), said(verdict), "{what}");
        }
        assert_eq!(take_reply(&mut query("www.example.org A"), 0x0102, &good), Verdict::Reply);
    }

    #[test]
    fn a_truncated_reply_may_be_broken() {
        let mut message = reply("www.example.org A", flag::TC | flag::RA | 3, b"\xc0\x0c\0");
        message[7] = 1;
        let mut q = query("www.example.org A");
        assert_eq!(take_reply(&mut q, 0x0102, &message), Verdict::Reply);
        assert_eq!(text(&q), "NXDOMAIN tc ra");
    }
}
