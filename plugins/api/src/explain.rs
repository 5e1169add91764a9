//! Why a reply is what it is, in one number: extended DNS errors (RFC 8914).
//!
//! Plugins say it ([`crate::Error::with_info`], [`crate::Reply::explain`]) whether or not anybody wants to know: it costs a
//! field. The server writes it into the reply's OPT where the client sent one and the server block has it switched on
//! ([`crate::Query::explains`]).

/// An INFO-CODE (RFC 8914 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InfoCode(pub u16);

#[expect(missing_docs, reason = "RFC 8914 says what they are")]
impl InfoCode {
    pub const OTHER: Self = Self(0);
    pub const STALE_ANSWER: Self = Self(3);
    pub const CACHED_ERROR: Self = Self(13);
    pub const NOT_READY: Self = Self(14);
    pub const STALE_NXDOMAIN_ANSWER: Self = Self(19);
    pub const NOT_AUTHORITATIVE: Self = Self(20);
    pub const NOT_SUPPORTED: Self = Self(21);
    pub const NO_REACHABLE_AUTHORITY: Self = Self(22);
    pub const NETWORK_ERROR: Self = Self(23);
}

/// Code of the EDNS option (RFC 8914 2).
pub const OPTION: u16 = 15;
