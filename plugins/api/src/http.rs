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
    /// Where to go instead; empty for nowhere.
    pub location: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// A plain text with this status.
    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response {
            status,
            content_type: "text/plain; charset=utf-8",
            location: String::new(),
            body: body.into().into_bytes(),
        }
    }

    /// Sends the client to another path, with this status and its words.
    pub fn redirect(status: u16, words: &str, location: String) -> Response {
        let text = location.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
        let body = format!("<a href=\"{text}\">{words}</a>.\n\n").into_bytes();
        Response { status, content_type: "text/html; charset=utf-8", location, body }
    }
}

/// Makes a page; called on the background thread, must not block.
pub type Page = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// What becomes of a start whose address for a page cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unopened {
    /// It fails.
    Fails,
    /// It goes on without the page. What the log says of it begins with these words. A reload fails all the same if the page is
    /// shown until then.
    Logged(&'static str),
}

/// A page and where it is to be found.
#[derive(Clone)]
pub struct Mount {
    /// `host:port` or `:port`, as written in the Corefile.
    pub address: String,
    /// The exact path.
    pub path: &'static str,
    /// What becomes of a start whose address for this page cannot be opened.
    pub unopened: Unopened,
    /// Whether it goes as soon as the server is told to stop (`/ready`), before farewells such as the lame duck: it says 503, and an
    /// address that has no other pages is closed.
    pub until_stop: bool,
    /// The web configuration (TLS, passwords, …) that protects the address, with all that is shown there.
    pub web_config: Option<PathBuf>,
    /// What makes the page.
    pub page: Page,
}
