//! What poddns does otherwise than the recordings on purpose, and what a later change brings. `docs/compatibility.md`
//! explains the first to users.

use fancy_regex::Regex;
use serde_json::Value;

/// A step whose reply is not the recorded one.
pub struct Case<'a> {
    /// `family/file.json [name]`.
    pub label: &'a str,
    /// The question, URL, expression … of the step; `start` for a start.
    pub step: &'a str,
    /// The recorded reply; of a start that was refused, its message.
    pub want: &'a Value,
    /// What came instead.
    pub got: &'a Value,
}

/// Why this difference is wanted; `None` where it is not.
pub fn wanted(case: &Case<'_>) -> Option<&'static str> {
    DIFFERENCES.iter().find(|d| d.covers(case)).map(|d| d.why)
}

/// Which change brings what this scenario needs; `None` where it has to pass now.
pub fn later(label: &str) -> Option<&'static str> {
    LATER.iter().find(|l| is_match(l.0, label)).map(|l| l.1)
}

/// A wanted difference.
struct Difference {
    /// Part of the scenario's label.
    place: &'static str,
    /// An expression that the step matches; empty for all.
    step: &'static str,
    what: What,
    why: &'static str,
}

enum What {
    /// Whatever was recorded.
    Any,
    /// Only where this was recorded.
    Only(&'static str),
    /// Only what is the same without the parts that match this expression.
    But(&'static str),
    /// Only messages that match this expression.
    Words(&'static str),
}
use What::{Any, But, Only, Words};

impl Difference {
    fn covers(&self, case: &Case<'_>) -> bool {
        case.label.contains(self.place) && is_match(self.step, case.step) && self.what.covers(case)
    }
}

impl What {
    fn covers(&self, case: &Case<'_>) -> bool {
        match self {
            Any => true,
            Only(text) => case.want.as_str() == Some(text),
            But(pattern) => without(pattern, case.want) == without(pattern, case.got),
            Words(pattern) => case.want.as_str().is_some_and(|words| is_match(pattern, words)),
        }
    }
}

fn is_match(pattern: &str, text: &str) -> bool {
    regex(pattern).is_match(text).expect("an expression that ends")
}

fn without(pattern: &str, value: &Value) -> String {
    regex(pattern).replace_all(&value.to_string(), "").into_owned()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("an expression")
}

const fn at(place: &'static str, step: &'static str, what: What, why: &'static str) -> Difference {
    Difference { place, step, what, why }
}

const DIFFERENCES: &[Difference] = &[
    at(
        "server/packets.json",
        "header only, QDCOUNT 1|cut after the name|ANCOUNT 1, none present|ARCOUNT 1, none present",
        Any,
        "a message that ends between two fields is malformed: FORMERR",
    ),
    at("server/packets.json", "two OPT|OPT with owner|OPT in the answer", Any, "RFC 6891 6.1.1: FORMERR is right too"),
    at("server/packets.json", "name with a pointer forward", Any, "a forward pointer is malformed: FORMERR"),
    at("server/command_line.json [-version]", "", Any, "our own name and version"),
    at("server/command_line.json [lines at the start]", "CoreDNS|maxprocs", Any, "our own name; no such Go library"),
    at("server/command_line.json [-help]", "", Any, "our own text"),
    at("server/command_line.json [-quiet]", "maxprocs", Any, "no such Go library"),
    at("server/packets.json", "a query of (513|600) octets", Any, "queries of more than 512 octets are read whole"),
    at("server/lookups.json", "self", Any, "a CNAME that refers to itself is answered once"),
    at("reload/reload.json [a reload empties the cache", "", Any, "the cache is carried over a reload"),
    at(
        "reload/reload.json [a comment changes nothing, reload goes away",
        "",
        Any,
        "without `reload` in the Corefile the file is no longer watched",
    ),
    at("cache/kubernetes.json", "", Any, LIVE),
    at("metrics/kubernetes.json", "coredns_cache_entries", Any, "cluster answers are live, also those for addresses"),
    at("kubernetes/autopath_cache.json", "", Any, LIVE),
    at("kubernetes/random/11.json", "^HTtP.TCP.Imp0", Any, LIVE),
    at("chaos/", "version", Any, "our own version text where none is configured"),
    at("kubernetes/", "^(?!.*SRV).*arpa PTR", Only("none"), EMPTY_LABEL),
    at("kubernetes/multicluster", "SRV", Only("none"), EMPTY_LABEL),
    at("cache/", "upstream", But(r" \+tcp"), "a refresh in the background may go over UDP"),
    at(
        "cache/serve_stale.json [serve_stale: verify with a time limit",
        "",
        Any,
        "a query is sent again after the measured round-trip time: the upstream's script goes on",
    ),
    at("forward/", MISMATCH, Any, IGNORED),
    at("cache/random", MISMATCH, Any, IGNORED),
    at(
        "forward/bad_upstreams.json",
        "upstream",
        Any,
        "retransmission follows the measured round-trip time: more than one packet per attempt",
    ),
    at(
        "forward/time_and_limits.json [an upstream answers after 2.5 s",
        "",
        Any,
        "the first transmission's answer is still taken after a retransmission",
    ),
    at(
        "forward/",
        r"plugin/errors|errors: \(2",
        Any,
        "the line names question, upstream, tries and time in our own words",
    ),
    at("", "^start$", Words("^panic: "), "a crash of CoreDNS; we say what is wrong"),
    at("", "^start$", Words("^OS/ARCH, GOVERSION"), "our own version lines"),
];

const LIVE: &str = "cluster answers are live and carry their full TTL";
const EMPTY_LABEL: &str = "a record with an empty label is left out, the reply is sent";
const IGNORED: &str =
    "a reply that does not match the question, or is malformed, is ignored and the wait goes on; SERVFAIL at its end";
const MISMATCH: &str = r"^(wrongname|wrongtype|noquestion|query|twoquestions|chclass|opcode|cut|garbage)\.";

/// Scenarios (an expression over their labels) that a later change makes pass. They are played and counted.
const LATER: &[(&str, &str)] = &[
    ("^(acl|auto|dns64|dnssec|erratic|file|geoip|header|mixed|rewrite|secondary|sign|tsig)/", DIRECTIVES),
    ("^transport/(?!bind_multisocket)", "encrypted transports"),
    ("^metrics/(?!kubernetes)", "metrics of directives that come later"),
];

const DIRECTIVES: &str = "directives that come later";
