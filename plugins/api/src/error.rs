//! Why a query could not be answered.

use crate::codes::Rcode;
use crate::explain::InfoCode;
use std::borrow::Cow;
use std::fmt;

/// Why a query could not be answered: what the client is told, and what the log says.
#[derive(Debug)]
pub struct Error {
    rcode: Rcode,
    info: Option<InfoCode>,
    text: Cow<'static, str>,
    more: Option<Box<More>>,
}

/// What only some errors say.
#[derive(Debug, Default)]
struct More {
    extra_text: Cow<'static, str>,
    context: Cow<'static, str>,
}

impl Error {
    /// An error that is answered SERVFAIL. The text says what was tried on what: lower case, no full stop.
    pub fn msg(text: impl Into<Cow<'static, str>>) -> Error {
        Error { rcode: Rcode::SERVFAIL, info: None, text: text.into(), more: None }
    }

    /// The same with another response code.
    pub fn with_rcode(self, rcode: Rcode) -> Error {
        Error { rcode, ..self }
    }

    /// The same with the code that tells clients why, where the server block tells them (RFC 8914).
    pub fn with_info(self, info: InfoCode) -> Error {
        Error { info: Some(info), ..self }
    }

    /// The same with some words for the client, which go with [`Error::with_info`] (RFC 8914, EXTRA-TEXT). Control characters
    /// are left out, and what is over [`MAX_EXTRA_TEXT`] octets is cut.
    pub fn with_extra_text(mut self, text: impl Into<Cow<'static, str>>) -> Error {
        self.more.get_or_insert_default().extra_text = printable(text.into());
        self
    }

    /// The same with facts for operators (how often it was tried, how long it took), which the log adds in brackets. They are no
    /// part of the text, which users match with regular expressions.
    pub fn with_context(mut self, facts: impl Into<Cow<'static, str>>) -> Error {
        self.more.get_or_insert_default().context = facts.into();
        self
    }

    /// The response code.
    pub fn rcode(&self) -> Rcode {
        self.rcode
    }

    /// The code that tells clients why.
    pub fn info(&self) -> Option<InfoCode> {
        self.info
    }

    /// Words for the client; empty where there are none.
    pub fn extra_text(&self) -> &str {
        self.more.as_ref().map_or("", |more| &more.extra_text)
    }

    /// Facts for the log; empty where there are none.
    pub fn context(&self) -> &str {
        self.more.as_ref().map_or("", |more| &more.context)
    }
}

/// Octets of the longest text for clients.
pub const MAX_EXTRA_TEXT: usize = 100;

/// The text without control characters, and not too long.
fn printable(mut text: Cow<'static, str>) -> Cow<'static, str> {
    if text.contains(char::is_control) {
        text = text.replace(char::is_control, "").into();
    }
    if text.len() > MAX_EXTRA_TEXT {
        let end = text.floor_char_boundary(MAX_EXTRA_TEXT);
        text.to_mut().truncate(end);
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        Error::msg(e.to_string())
    }
}

/// An error of the system in the words of C's library, lower case and without its number: users search for them.
pub fn os_words(e: &std::io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_read_is_short_and_printable() {
        let told = |text: String| Error::msg("x").with_extra_text(text).extra_text().to_owned();
        assert_eq!(told("from 127.0.0.1:53\r\n\u{85}\0.".into()), "from 127.0.0.1:53.");
        assert_eq!(told("ü".repeat(60)), "ü".repeat(50));
        assert_eq!(told(format!("x{}", "ü".repeat(60))).len(), MAX_EXTRA_TEXT - 1);
        assert_eq!(Error::msg("x").extra_text(), "");
    }

    #[test]
    fn the_text_stays_the_text() {
        let error =
            Error::msg("no").with_context("2 tries").with_info(InfoCode::NETWORK_ERROR).with_rcode(Rcode::REFUSED);
        assert_eq!(
            (error.to_string().as_str(), error.context(), error.info(), error.rcode()),
            ("no", "2 tries", Some(InfoCode::NETWORK_ERROR), Rcode::REFUSED)
        );
        assert!(size_of::<Error>() <= 40, "{}", size_of::<Error>());
    }
}
