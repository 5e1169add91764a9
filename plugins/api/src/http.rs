//! Pages that plugins put on HTTP endpoints (/metrics, /health, /ready); the daemon's one HTTP server shows them.

use std::path::PathBuf;
use std::sync::Arc;

/// What a page is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path, without query.
    pub path: String,
    /// What follows the question mark; empty without one.
    pub query: String,
}

/// What a page answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Media type.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// A plain text with this status.
    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response { status, content_type: "text/plain; charset=utf-8", body: body.into().into_bytes() }
    }
}

/// Makes a page; called on the background thread, must not block.
pub type Page = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// A page and where it is to be found.
#[derive(Clone)]
pub struct Mount {
    /// `host:port` or `:port`, as written in the Corefile.
    pub address: String,
    /// The exact path.
    pub path: &'static str,
    /// Whether the server starts without this page when its address cannot be opened.
    pub optional: bool,
    /// Whether it goes as soon as the server is told to stop (`/ready`), before farewells such as the lame duck.
    pub until_stop: bool,
    /// The web configuration (TLS, passwords, …) that protects the address, with all that is shown there.
    pub web_config: Option<PathBuf>,
    /// What makes the page.
    pub page: Page,
}
