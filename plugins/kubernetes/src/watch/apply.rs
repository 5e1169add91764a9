//! From the API's JSON to changes of the index.

use crate::index::{Kind, Writer};
use crate::metrics;
use crate::objects::{EndpointSlice, Metadata, Namespace, Pod, Service, Text};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// What one line of a watch said.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// An object was added, changed or deleted; its version.
    Applied(String),
    /// Nothing changed up to this version.
    Bookmark(String),
    /// The last object of a streaming list has been sent; the list's version.
    InitialEnd(String),
    /// The server cannot go on.
    Error {
        /// HTTP status code.
        code: u16,
        /// In the server's words.
        message: String,
    },
    /// A type of event that this server does not know.
    Unknown,
}

/// Where a page of a list stands.
pub struct Page {
    /// The version of the whole list.
    pub version: String,
    /// What to ask the next page with; empty on the last one.
    pub next: String,
}

/// Applies one line of a watch.
///
/// # Errors
/// The line is not JSON of that form: what it would have told is lost.
pub fn line(writer: &mut Writer, kind: Kind, line: &[u8], now: Duration) -> Result<Event, serde_json::Error> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow, rename = "type")]
        event: Text<'a>,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let Line { event, object } = serde_json::from_slice(line)?;
    match &*event {
        "ADDED" | "MODIFIED" => Ok(Event::Applied(change(writer, kind, object.get(), Change::Put, now)?)),
        "DELETED" => Ok(Event::Applied(change(writer, kind, object.get(), Change::Delete, now)?)),
        "BOOKMARK" => Ok(match version(object.get())? {
            (version, true) => Event::InitialEnd(version),
            (version, false) => Event::Bookmark(version),
        }),
        "ERROR" => {
            let Status { code, message } = serde_json::from_str(object.get())?;
            Ok(Event::Error { code, message: message.to_string() })
        }
        _ => Ok(Event::Unknown),
    }
}

/// Applies the objects of one page of a list.
///
/// # Errors
/// The page is not JSON of that form.
pub fn page(writer: &mut Writer, kind: Kind, page: &[u8], now: Duration) -> Result<Page, serde_json::Error> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        metadata: ListMetadata<'a>,
        #[serde(borrow)]
        items: Option<Vec<&'a RawValue>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct ListMetadata<'a> {
        #[serde(borrow)]
        resource_version: Text<'a>,
        #[serde(borrow, rename = "continue")]
        next: Text<'a>,
    }
    let list: List<'_> = serde_json::from_slice(page)?;
    for object in list.items.iter().flatten() {
        change(writer, kind, object.get(), Change::Put, now)?;
    }
    Ok(Page { version: list.metadata.resource_version.to_string(), next: list.metadata.next.to_string() })
}

/// What the API server says went wrong (meta/v1 Status).
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Status<'a> {
    /// HTTP status code.
    pub code: u16,
    /// In words.
    #[serde(borrow)]
    pub message: Text<'a>,
}

/// What happened to an object.
#[derive(Clone, Copy)]
enum Change {
    Put,
    Delete,
}

/// Puts or deletes an object and returns its version. One that makes no sense is counted, and leaves what was known
/// in place.
fn change(writer: &mut Writer, kind: Kind, json: &str, change: Change, now: Duration) -> serde_json::Result<String> {
    let done = match kind {
        Kind::Service => apply::<Service<'_>>(writer, json, change, now),
        Kind::EndpointSlice => apply::<EndpointSlice<'_>>(writer, json, change, now),
        Kind::Namespace => apply::<Namespace<'_>>(writer, json, change, now),
        Kind::Pod => apply::<Pod<'_>>(writer, json, change, now),
    };
    let done = done.or_else(|e| {
        writer.remark(e.to_string());
        version(json).map(|(version, _)| version)
    });
    for remark in writer.take_remarks() {
        tracing::debug!("an object of {} makes no sense: {remark}", super::plural(kind));
    }
    done
}

fn apply<'a, T: Object<'a>>(
    writer: &mut Writer,
    json: &'a str,
    change: Change,
    now: Duration,
) -> serde_json::Result<String> {
    let object: T = serde_json::from_str(json)?;
    match change {
        Change::Put => object.put(writer, now.as_secs() as u32),
        Change::Delete => object.delete(writer, now.as_secs() as u32),
    }
    object.applied(writer, now);
    Ok(object.metadata().resource_version.to_string())
}

/// The version of an object, and whether it ends the list at the head of a watch.
fn version(json: &str) -> serde_json::Result<(String, bool)> {
    #[derive(Deserialize)]
    struct Any<'a> {
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    let Any { metadata } = serde_json::from_str(json)?;
    Ok((metadata.resource_version.to_string(), &*metadata.annotations.initial_events_end == "true"))
}

/// An object that the index takes. Times are Unix times.
trait Object<'a>: Deserialize<'a> {
    fn metadata(&self) -> &Metadata<'a>;
    fn put(&self, writer: &mut Writer, now: u32);
    fn delete(&self, writer: &mut Writer, now: u32);

    /// The index has been changed.
    fn applied(&self, _writer: &Writer, _now: Duration) {}
}

impl<'a> Object<'a> for Service<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    fn put(&self, writer: &mut Writer, now: u32) {
        writer.put_service(self, now);
    }

    fn delete(&self, writer: &mut Writer, now: u32) {
        writer.delete_service(&self.metadata, now);
    }
}

impl<'a> Object<'a> for EndpointSlice<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    fn put(&self, writer: &mut Writer, now: u32) {
        writer.put_slice(self, now);
    }

    fn delete(&self, writer: &mut Writer, now: u32) {
        writer.delete_slice(&self.metadata, now);
    }

    fn applied(&self, writer: &Writer, now: Duration) {
        if !self.metadata.annotations.trigger_time.is_empty() {
            metrics::programmed(writer, &self.metadata, now);
        }
    }
}

impl<'a> Object<'a> for Namespace<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    fn put(&self, writer: &mut Writer, _now: u32) {
        writer.put_namespace(&self.metadata);
    }

    fn delete(&self, writer: &mut Writer, _now: u32) {
        writer.delete_namespace(&self.metadata);
    }
}

impl<'a> Object<'a> for Pod<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    fn put(&self, writer: &mut Writer, now: u32) {
        writer.put_pod(self, now);
    }

    fn delete(&self, writer: &mut Writer, now: u32) {
        writer.delete_pod(&self.metadata, now);
    }
}
