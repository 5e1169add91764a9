//! Why the reply is what it is.

use super::Reply;
use crate::explain::InfoCode;

impl Reply {
    /// Says why the reply is what it is, to clients that are told (see [`crate::explain`]); in place of what was said before.
    /// Beginning another reply takes it back.
    pub fn explain(&mut self, info: InfoCode) {
        self.explain_in_words(info, "");
    }

    /// The same, with some words for the client.
    pub fn explain_in_words(&mut self, info: InfoCode, words: &'static str) {
        self.why = Some((info, words));
    }

    /// Why the reply is what it is: what a plugin says about it, or what the error does.
    pub fn explanation(&self) -> Option<(InfoCode, &str)> {
        let error = || self.error.as_ref().and_then(|e| Some((e.info()?, e.extra_text())));
        self.why.or_else(error)
    }
}
