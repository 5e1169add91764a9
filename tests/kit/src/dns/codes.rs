//! Numbers of the protocol and their words, and for each record type the shape of its data.

use std::borrow::Cow;

/// The word for a record type; `TYPE123` for one without.
pub fn type_text(code: u16) -> Cow<'static, str> {
    TYPES.iter().find(|t| t.0 == code).map_or_else(|| format!("TYPE{code}").into(), |t| t.1.into())
}

/// The record type that a word, or `TYPE123`, stands for; case does not matter.
pub fn type_from_text(text: &str) -> Option<u16> {
    let upper = text.to_ascii_uppercase();
    let known = TYPES.iter().find(|t| t.1 == upper).map(|t| t.0);
    known.or_else(|| upper.strip_prefix("TYPE")?.parse().ok())
}

/// The shape of a type's data: a letter per field, see [`super::rdata`]; `None` for data that is shown as RFC 3597 has it.
pub(super) fn shape(class: u16, code: u16) -> Option<&'static str> {
    let defined = class == IN || !INTERNET.contains(&code);
    TYPES.iter().find(|t| t.0 == code && defined).map(|t| t.2).filter(|s| !s.is_empty())
}

/// The word for a class; `CLASS123` for one without.
pub fn class_text(code: u16) -> Cow<'static, str> {
    CLASSES.iter().find(|c| c.0 == code).map_or_else(|| format!("CLASS{code}").into(), |c| c.1.into())
}

/// The class that a word, or `CLASS123`, stands for.
pub fn class_from_text(text: &str) -> Option<u16> {
    let upper = text.to_ascii_uppercase();
    let known = CLASSES.iter().find(|c| c.1 == upper).map(|c| c.0);
    known.or_else(|| upper.strip_prefix("CLASS")?.parse().ok())
}

/// The word for a response code; its number for one without.
pub fn rcode_text(code: u16) -> Cow<'static, str> {
    RCODES.iter().find(|r| r.0 == code).map_or_else(|| code.to_string().into(), |r| r.1.into())
}

/// The response code that a word or a number stands for.
pub fn rcode_from_text(text: &str) -> Option<u16> {
    RCODES.iter().find(|r| r.1 == text).map(|r| r.0).or_else(|| text.parse().ok())
}

/// The opcode that a word or a number stands for.
pub fn opcode_from_text(text: &str) -> Option<u8> {
    let word = OPCODES.iter().find(|o| o.1.eq_ignore_ascii_case(text)).map(|o| o.0);
    word.or_else(|| text.parse().ok().filter(|n| *n < 16))
}

/// The word for a DNSSEC algorithm, for CERT records.
pub(super) fn algorithm_text(code: u8) -> String {
    ALGORITHMS.iter().find(|a| a.0 == code).map_or_else(|| code.to_string(), |a| a.1.to_owned())
}

/// The word for the type of a CERT record (RFC 4398 2.1).
pub(super) fn certificate_text(code: u16) -> String {
    CERTIFICATES.iter().find(|c| c.0 == code).map_or_else(|| code.to_string(), |c| c.1.to_owned())
}

const IN: u16 = 1;

/// Types that are defined for class IN only: A, PX, AAAA, SRV, NAPTR, KX, APL, DHCID, SVCB, HTTPS.
const INTERNET: &[u16] = &[1, 26, 28, 33, 35, 36, 42, 49, 64, 65];

const CLASSES: &[(u16, &str)] = &[(0, "RESERVED0"), (IN, "IN"), (3, "CH"), (4, "HS"), (254, "NONE"), (255, "ANY")];

const OPCODES: &[(u8, &str)] = &[(0, "QUERY"), (1, "IQUERY"), (2, "STATUS"), (4, "NOTIFY"), (5, "UPDATE")];

const RCODES: &[(u16, &str)] = &[
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (11, "DSOTYPENI"),
    (16, "BADVERS"),
    (17, "BADKEY"),
    (18, "BADTIME"),
    (19, "BADMODE"),
    (20, "BADNAME"),
    (21, "BADALG"),
    (22, "BADTRUNC"),
    (23, "BADCOOKIE"),
];

const ALGORITHMS: &[(u8, &str)] = &[
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (4, "ECC"),
    (5, "RSASHA1"),
    (6, "DSANSEC3SHA1"),
    (7, "RSASHA1NSEC3SHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECCGOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

const CERTIFICATES: &[(u16, &str)] = &[
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

/// Code, word, shape of the data.
const TYPES: &[(u16, &str, &str)] = &[
    (1, "A", "4"),
    (2, "NS", "n"),
    (3, "MD", ""),
    (4, "MF", ""),
    (5, "CNAME", "n"),
    (6, "SOA", "nnlllll"),
    (7, "MB", ""),
    (8, "MG", ""),
    (9, "MR", ""),
    (10, "NULL", ""),
    (11, "WKS", ""),
    (12, "PTR", "n"),
    (13, "HINFO", "qq"),
    (14, "MINFO", ""),
    (15, "MX", "sn"),
    (16, "TXT", "Q"),
    (17, "RP", "NN"),
    (18, "AFSDB", "sN"),
    (19, "X25", "q"),
    (20, "ISDN", ""),
    (21, "RT", "sN"),
    (22, "NSAP", ""),
    (23, "NSAP-PTR", ""),
    (24, "SIG", ""),
    (25, "KEY", ""),
    (26, "PX", "sNN"),
    (27, "GPOS", "ggg"),
    (28, "AAAA", "6"),
    (29, "LOC", "L"),
    (30, "NXT", ""),
    (33, "SRV", "sssN"),
    (35, "NAPTR", "ssqqqN"),
    (36, "KX", "sN"),
    (37, "CERT", "ksaB"),
    (38, "A6", ""),
    (39, "DNAME", "N"),
    (41, "OPT", ""),
    (42, "APL", "P"),
    (43, "DS", "sbbH"),
    (44, "SSHFP", "bbH"),
    (45, "IPSECKEY", ""),
    (46, "RRSIG", "tbblTTsNB"),
    (47, "NSEC", "NW"),
    (48, "DNSKEY", "sbbB"),
    (49, "DHCID", "B"),
    (50, "NSEC3", "bbsxzW"),
    (51, "NSEC3PARAM", "bbsx"),
    (52, "TLSA", "bbbH"),
    (53, "SMIMEA", "bbbH"),
    (55, "HIP", "I"),
    (56, "NINFO", "Q"),
    (59, "CDS", "sbbH"),
    (60, "CDNSKEY", "sbbB"),
    (61, "OPENPGPKEY", "C"),
    (62, "CSYNC", "lsW"),
    (63, "ZONEMD", "lbbH"),
    (64, "SVCB", "sNV"),
    (65, "HTTPS", "sNV"),
    (99, "SPF", "Q"),
    (103, "UNSPEC", ""),
    (104, "NID", "s8"),
    (105, "L32", "s4"),
    (106, "L64", "s8"),
    (107, "LP", "sN"),
    (108, "EUI48", "-"),
    (109, "EUI64", "-"),
    (128, "NXNAME", ""),
    (249, "TKEY", ""),
    (250, "TSIG", ""),
    (251, "IXFR", ""),
    (252, "AXFR", ""),
    (253, "MAILB", ""),
    (254, "MAILA", ""),
    (255, "ANY", ""),
    (256, "URI", "ssu"),
    (257, "CAA", "bgu"),
    (258, "AVC", "Q"),
    (32768, "TA", ""),
    (32769, "DLV", "sbbH"),
];
