//! Why a request ended, and why a kind of objects is listed again.

use crate::connect::Failure;
use std::time::Duration;

/// Why a request ended.
#[derive(Debug)]
pub enum End {
    /// A watch, in good order.
    Closed,
    /// A list, complete.
    Listed,
    /// A watch that neither told anything nor ended in its time.
    Silent,
    /// A watch whose connection broke between two events.
    Broken(String),
    /// What is known may be wrong: list again.
    Doubt(Doubt, String),
    /// The server does not know streaming lists.
    NoStreaming(String),
    /// Anything else: try again from where the index stands.
    Failed(Failure),
}

/// What casts doubt on what is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The version from which to go on is not known any more (410).
    Expired,
    /// An event or a list that is not understood.
    Undecodable,
    /// An event, or a list, that ended in the middle.
    Truncated,
    /// A version before one that was told earlier.
    Version,
    /// Two watches, one after the other, that told nothing and did not end.
    Silent,
    /// Another number of objects than is known.
    Count,
    /// Other names or versions than are known.
    Difference,
}

impl Doubt {
    /// All of them.
    pub const ALL: [Doubt; 7] = {
        use Doubt::{Count, Difference, Expired, Silent, Truncated, Undecodable, Version};
        [Expired, Undecodable, Truncated, Version, Silent, Count, Difference]
    };

    /// As metrics have it.
    pub fn label(self) -> &'static str {
        match self {
            Doubt::Expired => "expired",
            Doubt::Undecodable => "undecodable",
            Doubt::Truncated => "truncated",
            Doubt::Version => "version",
            Doubt::Silent => "silent",
            Doubt::Count => "count",
            Doubt::Difference => "difference",
        }
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        match failure {
            Failure::Status { code: 410, message, .. } => End::Doubt(Doubt::Expired, message),
            failure => End::Failed(failure),
        }
    }
}

impl End {
    /// An end that the server told inside of a watch.
    pub fn told(code: u16, message: String) -> End {
        Failure::Status { code, message, retry_after: None }.into()
    }
}

/// Whether a version is before another one. Versions are to be compared as numbers, where they are such (KEP-5504).
pub fn is_before(version: &str, other: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    matches!((number(version), number(other)), (Some(version), Some(other)) if version < other)
}

/// The longest that a server may ask to be left alone.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_if_they_are_compared() {
        assert!(is_before("99", "100"));
        for (version, other) in [("100", "99"), ("7", "7"), ("", "7"), ("7", ""), ("a", "b"), ("1", "x")] {
            assert!(!is_before(version, other), "{version} {other}");
        }
    }
}
