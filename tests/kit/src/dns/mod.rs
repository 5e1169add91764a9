//! DNS messages as tests see them: decoded without mercy, records in the presentation form of dnspython.
//!
//! The recordings in `tests/golden` were rendered by dnspython, so this is its form to the letter, for all types it knows;
//! hickory-proto's form differs (quoting, chunks of base64, unknown types), and the daemon's own codec cannot be its own judge.

mod codes;
mod message;
mod name;
mod rdata;

pub use codes::{
    class_from_text, class_text, opcode_from_text, rcode_from_text, rcode_text, type_from_text, type_text,
};
pub use message::{Edns, Malformed, Message, Question, Record, flag};
pub use name::Name;
pub use rdata::hex;
