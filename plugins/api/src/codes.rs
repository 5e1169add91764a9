//! Numbers of the DNS protocol: record types, classes, response codes, operation codes (IANA "DNS Parameters"), and their
//! mnemonics as CoreDNS's logs and metrics print them.

use std::fmt;
use std::str::FromStr;

/// A record type or question type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RecordType(pub u16);

/// A class.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Class(pub u16);

/// A response code, 12 bits wide with the upper eight in the OPT record (RFC 6891 6.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rcode(pub u16);

/// An operation code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Opcode(pub u8);

#[expect(missing_docs, reason = "the mnemonics are the documentation")]
impl RecordType {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const CNAME: Self = Self(5);
    pub const SOA: Self = Self(6);
    pub const PTR: Self = Self(12);
    pub const HINFO: Self = Self(13);
    pub const MX: Self = Self(15);
    pub const TXT: Self = Self(16);
    pub const AAAA: Self = Self(28);
    pub const SRV: Self = Self(33);
    pub const OPT: Self = Self(41);
    pub const DS: Self = Self(43);
    pub const RRSIG: Self = Self(46);
    pub const NSEC: Self = Self(47);
    pub const DNSKEY: Self = Self(48);
    pub const NSEC3: Self = Self(50);
    pub const SVCB: Self = Self(64);
    pub const HTTPS: Self = Self(65);
    pub const TSIG: Self = Self(250);
    pub const IXFR: Self = Self(251);
    pub const AXFR: Self = Self(252);
    pub const ANY: Self = Self(255);

    /// Its name; `None` where it has none.
    pub fn mnemonic(self) -> Option<&'static str> {
        TYPES.iter().find(|t| t.0 == self.0).map(|t| t.1)
    }
}

#[expect(missing_docs, reason = "the mnemonics are the documentation")]
impl Class {
    pub const IN: Self = Self(1);
    pub const CH: Self = Self(3);
    pub const HS: Self = Self(4);
    pub const NONE: Self = Self(254);
    pub const ANY: Self = Self(255);

    /// Its name; `None` where it has none.
    pub fn mnemonic(self) -> Option<&'static str> {
        CLASSES.iter().find(|c| c.0 == self.0).map(|c| c.1)
    }
}

#[expect(missing_docs, reason = "the mnemonics are the documentation")]
impl Rcode {
    pub const NOERROR: Self = Self(0);
    pub const FORMERR: Self = Self(1);
    pub const SERVFAIL: Self = Self(2);
    pub const NXDOMAIN: Self = Self(3);
    pub const NOTIMP: Self = Self(4);
    pub const REFUSED: Self = Self(5);
    pub const BADVERS: Self = Self(16);

    /// Its name, as CoreDNS has it; `None` where it has none.
    pub fn mnemonic(self) -> Option<&'static str> {
        RCODES.get(usize::from(self.0)).copied().filter(|name| !name.is_empty())
    }
}

#[expect(missing_docs, reason = "the mnemonics are the documentation")]
impl Opcode {
    pub const QUERY: Self = Self(0);
    pub const NOTIFY: Self = Self(4);
    pub const UPDATE: Self = Self(5);
}

/// The mnemonic, or `TYPE123` (RFC 3597 5).
impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(name) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// Reads a mnemonic in upper case.
impl FromStr for RecordType {
    type Err = UnknownMnemonic;

    fn from_str(text: &str) -> Result<Self, UnknownMnemonic> {
        TYPES.iter().find(|t| t.1 == text).map(|t| Self(t.0)).ok_or(UnknownMnemonic)
    }
}

/// The mnemonic, or `CLASS123` (RFC 3597 5).
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(name) => f.write_str(name),
            None => write!(f, "CLASS{}", self.0),
        }
    }
}

/// Reads a mnemonic in upper case.
impl FromStr for Class {
    type Err = UnknownMnemonic;

    fn from_str(text: &str) -> Result<Self, UnknownMnemonic> {
        CLASSES.iter().find(|c| c.1 == text).map(|c| Self(c.0)).ok_or(UnknownMnemonic)
    }
}

/// The mnemonic, or `RCODE123`.
impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(name) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

/// Reads a mnemonic in upper case.
impl FromStr for Rcode {
    type Err = UnknownMnemonic;

    fn from_str(text: &str) -> Result<Self, UnknownMnemonic> {
        let place = RCODES.iter().position(|name| !name.is_empty() && *name == text);
        place.map(|n| Self(n as u16)).ok_or(UnknownMnemonic)
    }
}

/// A text that names no type, class or code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMnemonic;

impl fmt::Display for UnknownMnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown mnemonic")
    }
}

impl std::error::Error for UnknownMnemonic {}

const TYPES: &[(u16, &str)] = &[
    (1, "A"),
    (28, "AAAA"),
    (33, "SRV"),
    (12, "PTR"),
    (0, "None"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (23, "NSAP-PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (56, "NINFO"),
    (57, "RKEY"),
    (58, "TALINK"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (100, "UINFO"),
    (101, "UID"),
    (102, "GID"),
    (103, "UNSPEC"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (128, "NXNAME"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
    (260, "AMTRELAY"),
    (261, "RESINFO"),
    (32768, "TA"),
    (32769, "DLV"),
    (65535, "Reserved"),
];

const CLASSES: &[(u16, &str)] = &[(1, "IN"), (2, "CS"), (3, "CH"), (4, "HS"), (254, "NONE"), (255, "ANY")];

const RCODES: &[&str] = &[
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
    "",
    "",
    "",
    "",
    "BADSIG",
    "BADKEY",
    "BADTIME",
    "BADMODE",
    "BADNAME",
    "BADALG",
    "BADTRUNC",
    "BADCOOKIE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mnemonics() {
        assert_eq!(RecordType::HTTPS.to_string(), "HTTPS");
        assert_eq!(RecordType(65400).to_string(), "TYPE65400");
        assert_eq!("NAPTR".parse(), Ok(RecordType(35)));
        assert_eq!("naptr".parse::<RecordType>(), Err(UnknownMnemonic));
        assert_eq!((Class::CH.to_string(), Class(9).to_string()), ("CH".into(), "CLASS9".into()));
        assert_eq!((Rcode(11).to_string(), Rcode(12).to_string()), ("DSOTYPENI".into(), "RCODE12".into()));
        assert_eq!((Rcode(99).to_string(), "BADCOOKIE".parse()), ("RCODE99".into(), Ok(Rcode(23))));
    }
}
