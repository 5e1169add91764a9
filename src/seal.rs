//! The last step before a reply is sent: EDNS, size, truncation (RFC 6891 6, RFC 2181 9).

use api::reply::RecordData;
use api::wire::{edns_options, flag};
use api::{Edns, Outcome, Query, Rcode, ReplyOpt, explain};

/// Octets that every client takes, and every network as a whole (RFC 1035 4.2.1).
const ALWAYS: usize = 512;

/// UDP replies over these many octets are compressed though they would fit, so that they are not cut into fragments.
const UNFRAGMENTED_V4: usize = 1480;
const UNFRAGMENTED_V6: usize = 1220;

/// EDNS options of a query that come back in a reply to which no plugin added an OPT: NSID, EXPIRE, COOKIE,
/// TCP keep-alive, padding.
const ECHOED: [u16; 5] = [3, 9, 10, 11, 12];

/// Completes the reply and returns the message to send; `None` where nothing is to be sent.
pub fn seal(q: &mut Query) -> Option<&[u8]> {
    let why = if q.explains && q.edns.is_some() { Why::of(q) } else { None };
    match q.reply.outcome() {
        Outcome::Nothing => return None,
        Outcome::Bare(rcode) => {
            q.respond().set_rcode(rcode);
        }
        Outcome::Message => (),
    }
    let rcode = q.reply.rcode().unwrap_or(Rcode::NOERROR);
    let opt_len = match q.reply.opt() {
        Some(own) => 11 + own.options.len(),
        None => echoed_len(q),
    };
    if rcode.0 > 15 && opt_len == 0 {
        return None; // no place for the code (CoreDNS sends nothing either)
    }
    fit(q, opt_len);
    if opt_len > 0 {
        push_opt(q, rcode, opt_len, why.as_ref());
    }
    Some(q.reply.bytes())
}

/// Appends an OPT of `opt_len` octets, and `why` where there is room for it.
fn push_opt(q: &mut Query, rcode: Rcode, opt_len: usize, why: Option<&Why>) {
    let room = q.size_limit().saturating_sub(q.reply.bytes().len() + opt_len);
    let write_why = |d: &mut RecordData<'_>| why.iter().for_each(|why| why.write(room, d));
    match (q.reply.opt().cloned(), q.edns) {
        (Some(own), edns) => push_own(q, &own, edns, rcode, write_why),
        (None, Some(edns)) => {
            let Query { reply, edns_options, .. } = &mut *q;
            let options = echoed(edns_options);
            reply.push_opt(edns.size, ext(rcode) | ttl_do(edns.dnssec_ok), |d| {
                options.for_each(|o| d.octets(o));
                write_why(d);
            });
        }
        (None, None) => (),
    }
}

/// Octets of the reply to `q` that is nothing but a response code.
pub fn bare_len(q: &Query) -> usize {
    const HEADER: usize = 12;
    const TYPE_AND_CLASS: usize = 4;
    HEADER + q.name().as_bytes().len() + TYPE_AND_CLASS + echoed_len(q)
}

/// Octets of the OPT that a reply without one of its own gets.
fn echoed_len(q: &Query) -> usize {
    q.edns.map_or(0, |_| 11 + echoed(&q.edns_options).map(<[u8]>::len).sum::<usize>())
}

/// Why the reply is what it is (RFC 8914): an option that is the first thing to go where there is no room for everything.
struct Why {
    info: explain::InfoCode,
    words: String,
}

impl Why {
    #[cold]
    fn of(q: &Query) -> Option<Why> {
        q.reply.explanation().map(|(info, words)| Why { info, words: words.to_owned() })
    }

    /// Writes as much of it as has room: all, the code only, or nothing.
    fn write(&self, room: usize, d: &mut RecordData<'_>) {
        let words = Some(&*self.words).filter(|words| FIXED + words.len() <= room).unwrap_or_default();
        if FIXED <= room {
            d.u16(explain::OPTION);
            d.u16((2 + words.len()) as u16);
            d.u16(self.info.0);
            d.octets(words.as_bytes());
        }
    }
}

/// Octets of the option without words.
const FIXED: usize = 6;

/// Makes the message, with an OPT of `opt_len` octets behind it, fit.
fn fit(q: &mut Query, opt_len: usize) {
    let len = q.reply.bytes().len() + opt_len;
    if len > ALWAYS && len > whole(q) {
        q.reply.shrink(q.size_limit().saturating_sub(opt_len));
    }
    if q.reply.overflowed() {
        q.reply.set_flags(flag::TC, flag::TC);
    }
}

/// Octets that a message may have as it is.
fn whole(q: &Query) -> usize {
    let unfragmented = if q.client.ip().to_canonical().is_ipv4() { UNFRAGMENTED_V4 } else { UNFRAGMENTED_V6 };
    if q.transport.is_datagram() { q.size_limit().min(unfragmented) } else { q.size_limit() }
}

/// Appends the OPT that a plugin or an upstream made; size and DO become the client's where it sent an OPT.
fn push_own(q: &mut Query, own: &ReplyOpt, edns: Option<Edns>, rcode: Rcode, more: impl FnOnce(&mut RecordData<'_>)) {
    let size = edns.map_or(own.size, |e| e.size);
    let dnssec_ok = own.dnssec_ok || edns.is_some_and(|e| e.dnssec_ok);
    q.reply.push_opt(size, ext(rcode) | ttl_do(dnssec_ok), |d| {
        d.octets(&own.options);
        more(d);
    });
}

/// The upper eight bits of a response code in their place in an OPT's TTL.
fn ext(rcode: Rcode) -> u32 {
    u32::from(rcode.0 >> 4) << 24
}

/// DNSSEC OK in its place in an OPT's TTL.
fn ttl_do(dnssec_ok: bool) -> u32 {
    if dnssec_ok { 0x8000 } else { 0 }
}

/// The options of a query that are echoed, each whole.
fn echoed(options: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    edns_options(options).filter(|option| ECHOED.contains(&option.code)).map(|option| option.whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{InfoCode, Owner, RecordType, Section};
    use std::net::Ipv4Addr;

    /// A query for `example. A`, with an OPT that takes `size` octets if there is one.
    fn query(size: Option<u16>) -> Query {
        let mut message = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01".to_vec();
        if let Some(size) = size {
            message[11] = 1;
            message.extend_from_slice(b"\0\0\x29");
            message.extend_from_slice(&size.to_be_bytes());
            message.extend_from_slice(&[0; 6]);
        }
        let mut q = Query::default();
        q.parse(&message).expect("well formed");
        q
    }

    fn sealed(q: &mut Query) -> &[u8] {
        seal(q).expect("a reply")
    }

    #[test]
    fn who_may_know_is_told_why() {
        let told = b"\0\0\x29\x04\xd0\0\0\0\0\0\x12\0\x0f\0\x0e\0\x17 10.0.0.1:53";
        for (size, explains, option) in
            [(Some(1232), true, &told[..]), (Some(1232), false, b"\0\0\x29\x04\xd0\0\0\0\0\0\0"), (None, true, b"")]
        {
            let mut q = query(size);
            q.explains = explains;
            let error = api::Error::msg("i/o timeout").with_info(InfoCode::NETWORK_ERROR);
            q.reply.fail(error.with_extra_text(" 10.0.0.1:53"));
            assert_eq!(&sealed(&mut q)[25..], option, "{size:?} {explains}");
        }
    }

    #[test]
    fn an_upstreams_opt_keeps_its_options() {
        let mut q = query(Some(1232));
        q.explains = true;
        q.respond().set_opt(Some(ReplyOpt { size: 4096, dnssec_ok: true, options: b"\0\x03\0\x01x".to_vec() }));
        q.reply.explain(InfoCode::STALE_ANSWER);
        let opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\x0b\0\x03\0\x01x\0\x0f\0\x02\0\x03";
        assert_eq!(&sealed(&mut q)[25..], opt);
    }

    #[test]
    fn the_reason_goes_first_where_room_is_short() {
        // Header, question, 28 addresses and an OPT take 484 octets, the other record 11 and its data.
        for (spare, expected) in [(0, 0), (5, 0), (6, 6), (11, 6), (12, 12)] {
            let mut q = query(Some(512));
            q.explains = true;
            q.respond();
            for n in 0..28 {
                q.reply.push_address(Section::Answer, Owner::Question, 5, Ipv4Addr::from(n).into());
            }
            q.reply.push(Section::Additional, Owner::Suffix(8), RecordType::TXT, 5, |d| d.octets(&[0; 17][spare..]));
            q.reply.explain_in_words(InfoCode::OTHER, "123456");
            let length = q.reply.bytes().len();
            let reply = sealed(&mut q);
            assert_eq!(reply.len() - length - 11, expected, "{spare}");
            assert_eq!((reply[2] & 2, &reply[6..12]), (0, &[0, 28, 0, 0, 0, 2][..]), "{spare}");
        }
    }
}
