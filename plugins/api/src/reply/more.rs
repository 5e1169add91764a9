//! Replies of several messages: zone transfers (RFC 5936 2.2).

use super::Reply;
use crate::query::Query;

/// Makes the messages that follow the first one of a reply, each when the one before has been taken.
pub trait More: Send {
    /// Writes the next message in place of the last one, and tells whether another one follows it.
    fn next(&mut self, q: &mut Query) -> bool;
}

impl Reply {
    /// Says that other messages follow this one. Only transports that are no datagrams can take them; what becomes another reply
    /// on its way up has none.
    pub fn set_more(&mut self, more: Box<dyn More>) {
        self.more = Some(more);
    }

    /// For transports: what makes the messages that follow.
    pub fn take_more(&mut self) -> Option<Box<dyn More>> {
        self.more.take()
    }
}
