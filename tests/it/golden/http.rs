//! Pages that the daemon serves.

use super::ask::octets;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::net::TcpStream;

/// A request's parts beside its URL.
#[derive(Default)]
pub(super) struct Extra<'a> {
    pub(super) method: Option<&'a str>,
    pub(super) data: Option<&'a str>,
    pub(super) headers: Option<&'a BTreeMap<String, String>>,
}

/// What came back; status 0 where nothing did.
#[derive(Default)]
pub(super) struct Page {
    pub(super) code: u16,
    pub(super) body: String,
    pub(super) headers: BTreeMap<String, String>,
}

/// Fetches a page of 127.0.0.1.
pub(super) async fn fetch(url: &str, extra: Extra<'_>) -> Page {
    let fetched = tokio::time::timeout(PATIENCE, fetch_now(url, extra)).await;
    fetched.ok().and_then(Result::ok).unwrap_or_default()
}

async fn fetch_now(url: &str, extra: Extra<'_>) -> Result<Page, Box<dyn std::error::Error>> {
    let uri: Uri = url.parse()?;
    let authority = uri.authority().ok_or("no host")?.to_string();
    let stream = TcpStream::connect(&authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let method = extra.method.unwrap_or(if extra.data.is_some() { "POST" } else { "GET" });
    let mut request = Request::builder().method(method).uri(path).header(HOST, authority).header(CONNECTION, "close");
    for (name, value) in extra.headers.into_iter().flatten() {
        request = request.header(name, value);
    }
    let body = Bytes::from(extra.data.map(octets).unwrap_or_default());
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let text = |v: &hyper::header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(k, v)| (k.as_str().to_owned(), text(v))).collect();
    let code = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok(Page { code, body: escaped(&body), headers })
}

/// A body as text; octets that are none as `\\xHH`.
fn escaped(body: &[u8]) -> String {
    body.utf8_chunks().fold(String::new(), |mut out, chunk| {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|b| format!("\\x{b:02x}")));
        out
    })
}

const PATIENCE: Duration = Duration::from_secs(3);
