//! The last step before a reply is sent: EDNS, size, truncation (RFC 6891 6, RFC 2181 9).

use api::wire::{edns_options, flag};
use api::{Edns, Outcome, Query, Rcode, ReplyOpt};

/// UDP replies over these many octets are compressed though they would fit, so that they are not cut into fragments.
const UNFRAGMENTED_V4: usize = 1480;
const UNFRAGMENTED_V6: usize = 1220;

/// EDNS options of a query that come back in a reply to which no plugin added an OPT: NSID, EXPIRE, COOKIE,
/// TCP keep-alive, padding.
const ECHOED: [u16; 5] = [3, 9, 10, 11, 12];

/// Completes the reply and returns the message to send; `None` where nothing is to be sent.
pub fn seal(q: &mut Query) -> Option<&[u8]> {
    match q.reply.outcome() {
        Outcome::Nothing => return None,
        Outcome::Bare(rcode) => {
            q.respond().set_rcode(rcode);
        }
        Outcome::Message => (),
    }
    let rcode = q.reply.rcode().unwrap_or(Rcode::NOERROR);
    let own = q.reply.opt().cloned();
    if rcode.0 > 15 && q.edns.is_none() && own.is_none() {
        return None; // no place for the code (CoreDNS sends nothing either)
    }
    let opt_len = match (&own, &q.edns) {
        (Some(own), _) => 11 + own.options.len(),
        (None, Some(_)) => 11 + echoed(&q.edns_options).map(<[u8]>::len).sum::<usize>(),
        (None, None) => 0,
    };
    fit(q, opt_len);
    match (own, q.edns) {
        (Some(own), edns) => push_own(q, &own, edns, rcode),
        (None, Some(edns)) => {
            let Query { reply, edns_options, .. } = &mut *q;
            let options = echoed(edns_options);
            reply.push_opt(edns.size, ext(rcode) | ttl_do(edns.dnssec_ok), |d| options.for_each(|o| d.octets(o)));
        }
        (None, None) => (),
    }
    Some(q.reply.bytes())
}

/// Makes the message, with an OPT of `opt_len` octets behind it, fit.
fn fit(q: &mut Query, opt_len: usize) {
    let limit = q.size_limit().saturating_sub(opt_len);
    let unfragmented = if q.client.ip().to_canonical().is_ipv4() { UNFRAGMENTED_V4 } else { UNFRAGMENTED_V6 };
    let len = q.reply.bytes().len();
    if len > limit || (q.transport.is_datagram() && len + opt_len > unfragmented) {
        q.reply.shrink(limit);
    }
    if q.reply.overflowed() {
        q.reply.set_flags(flag::TC, flag::TC);
    }
}

/// Appends the OPT that a plugin or an upstream made; size and DO become the client's where it sent an OPT.
fn push_own(q: &mut Query, own: &ReplyOpt, edns: Option<Edns>, rcode: Rcode) {
    let size = edns.map_or(own.size, |e| e.size);
    let dnssec_ok = own.dnssec_ok || edns.is_some_and(|e| e.dnssec_ok);
    q.reply.push_opt(size, ext(rcode) | ttl_do(dnssec_ok), |d| d.octets(&own.options));
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
