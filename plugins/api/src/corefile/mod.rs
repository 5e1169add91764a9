//! The Corefile language.
#![expect(missing_docs, reason = "stand-in")]
#[derive(Debug, Clone)]
pub struct Token;
#[derive(Debug)]
pub struct ConfigError;
pub struct Cursor<'a>(&'a [Token]);
impl<'a> Cursor<'a> {
    pub fn new(_d: &'static str, t: &'a [Token]) -> Self {
        Cursor(t)
    }
}
