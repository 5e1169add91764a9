//! From the API's JSON to changes of the index.

use super::items::{Items, TooLarge};
use super::known::Record;
use crate::index::{Kind, Writer};
use crate::metrics;
use crate::objects::{AllLabels, EndpointSlice, Labels, Metadata, Namespace, Pod, Service, ServiceImport, Text};
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

/// What one kind's objects change: the index, and the record of what was told.
pub struct Target<'a> {
    /// The kind of object.
    pub kind: Kind,
    /// What answers are written from.
    pub writer: &'a mut Writer,
    /// What later lists are compared with.
    pub record: &'a mut Record,
    /// Time since 1970.
    pub now: Duration,
}

impl Target<'_> {
    /// Applies one line of a watch.
    ///
    /// # Errors
    /// The line is not JSON of that form: what it would have told is lost.
    pub fn line(&mut self, line: &[u8]) -> serde_json::Result<Event> {
        let line = utf8(line)?;
        if let Some((event, object)) = split(line) {
            match self.event(event, object) {
                Err(e) if !e.is_data() => (),
                told => return told,
            }
        }
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow, rename = "type")]
            event: Text<'a>,
            #[serde(borrow)]
            object: &'a RawValue,
        }
        let Line { event, object } = serde_json::from_str(line)?;
        self.event(&event, object.get())
    }

    fn event(&mut self, event: &str, object: &str) -> serde_json::Result<Event> {
        match event {
            "ADDED" | "MODIFIED" => Ok(Event::Applied(self.change(object, Change::Put)?)),
            "DELETED" => Ok(Event::Applied(self.change(object, Change::Delete)?)),
            "BOOKMARK" => Ok(bookmark(object)?),
            "ERROR" => {
                let Status { code, message } = serde_json::from_str(object)?;
                Ok(Event::Error { code, message: message.to_string() })
            }
            _ => Ok(Event::Unknown),
        }
    }

    /// Applies the objects of a list that end in `data`.
    ///
    /// # Errors
    /// One of them is not JSON, or much too large.
    pub fn items(&mut self, items: &mut Items, data: &[u8]) -> serde_json::Result<()> {
        items.feed(data, |object| self.object(utf8(object)?))
    }

    /// Adds or replaces one object.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn object(&mut self, json: &str) -> serde_json::Result<()> {
        self.change(json, Change::Put).map(drop)
    }

    /// Puts or deletes an object and returns its version. One that makes no sense is counted, and leaves what was known
    /// in place.
    fn change(&mut self, json: &str, change: Change) -> serde_json::Result<String> {
        let done = match self.kind {
            Kind::Service => self.apply::<Service<'_>>(json, change),
            Kind::EndpointSlice | Kind::ImportedSlice => self.apply::<EndpointSlice<'_>>(json, change),
            Kind::Namespace => self.apply::<Namespace<'_>>(json, change),
            Kind::Pod => self.apply::<Pod<'_>>(json, change),
            Kind::ServiceImport => self.apply::<ServiceImport<'_>>(json, change),
        };
        let done = done.or_else(|e| {
            if !e.is_data() {
                return Err(e);
            }
            self.writer.remark(e.to_string());
            let Any { metadata } = serde_json::from_str(json)?;
            Ok(self.noted(&metadata, change))
        });
        let remarks = self.writer.take_remarks();
        if !remarks.is_empty() {
            let kind = super::plural(self.kind);
            metrics::not_understood(kind).inc();
            remarks.iter().for_each(|remark| tracing::debug!("an object of {kind} makes no sense: {remark}"));
        }
        done
    }

    fn apply<'j, T: Object<'j>>(&mut self, json: &'j str, change: Change) -> serde_json::Result<String> {
        let object: T = serde_json::from_str(json)?;
        let now = self.now.as_secs() as u32;
        match change {
            Change::Put => object.put(self.writer, now),
            Change::Delete => object.delete(self.writer, now),
        }
        object.applied(self.writer, self.now);
        Ok(self.noted(object.metadata(), change))
    }

    /// Records what happened to an object, and returns its version.
    fn noted<L>(&mut self, metadata: &Metadata<'_, L>, change: Change) -> String {
        let Metadata { namespace, name, resource_version, .. } = metadata;
        match change {
            Change::Put => self.record.put(namespace, name, resource_version),
            Change::Delete => self.record.remove(namespace, name),
        }
        resource_version.to_string()
    }
}

/// Event and object of a line that is written as API servers write it: it need not be read twice then. That the object is
/// one is seen when it is read.
fn split(line: &str) -> Option<(&str, &str)> {
    let (event, rest) = line.strip_prefix("{\"type\":\"")?.split_once('"')?;
    Some((event, rest.strip_prefix(",\"object\":")?.trim_end().strip_suffix('}')?))
}

fn utf8(json: &[u8]) -> serde_json::Result<&str> {
    std::str::from_utf8(json).map_err(serde::de::Error::custom)
}

impl From<TooLarge> for serde_json::Error {
    fn from(_: TooLarge) -> Self {
        serde::de::Error::custom("an object that is too large")
    }
}

/// What is told of a list as a whole (meta/v1 ListMeta).
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct ListMetadata<'a> {
    /// The version of the whole list.
    #[serde(borrow)]
    pub resource_version: Text<'a>,
    /// What to ask the next page with; empty on the last one.
    #[serde(borrow, rename = "continue")]
    pub next: Text<'a>,
    /// How many objects the next pages have; not told where there is a selector.
    pub remaining_item_count: Option<u64>,
}

/// Reads the frame of a list, from which its objects have been taken.
///
/// # Errors
/// It is not complete, or no list.
pub fn frame<'a>(items: &'a Items) -> serde_json::Result<ListMetadata<'a>> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        metadata: ListMetadata<'a>,
        #[serde(default)]
        #[expect(dead_code, reason = "what is left in it would be no object")]
        items: Option<[(); 0]>,
    }
    let List { metadata, .. } = serde_json::from_slice(items.frame())?;
    Ok(metadata)
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

/// Any object.
#[derive(Deserialize)]
pub struct Any<'a> {
    /// Its name and version.
    #[serde(borrow)]
    pub metadata: Metadata<'a>,
}

/// What a bookmark says; there is a special one that ends the list at the head of a watch.
fn bookmark(json: &str) -> serde_json::Result<Event> {
    let Any { metadata } = serde_json::from_str(json)?;
    let version = metadata.resource_version.to_string();
    let end = &*metadata.annotations.initial_events_end == "true";
    Ok(if end { Event::InitialEnd(version) } else { Event::Bookmark(version) })
}

/// An object that the index takes. Times are Unix times.
trait Object<'a>: Deserialize<'a> {
    /// How its labels are read.
    type Labels;

    fn metadata(&self) -> &Metadata<'a, Self::Labels>;
    fn put(&self, writer: &mut Writer, now: u32);
    fn delete(&self, writer: &mut Writer, now: u32);

    /// The index has been changed.
    fn applied(&self, _writer: &Writer, _now: Duration) {}
}

impl<'a> Object<'a> for Service<'a> {
    type Labels = Labels<'a>;

    fn metadata(&self) -> &Metadata<'a, Self::Labels> {
        &self.metadata
    }

    fn put(&self, writer: &mut Writer, now: u32) {
        writer.put_service(self, now);
    }

    fn delete(&self, writer: &mut Writer, now: u32) {
        writer.delete_service(&self.metadata, now);
    }
}

impl<'a> Object<'a> for ServiceImport<'a> {
    type Labels = Labels<'a>;

    fn metadata(&self) -> &Metadata<'a, Self::Labels> {
        &self.metadata
    }

    fn put(&self, writer: &mut Writer, now: u32) {
        writer.put_import(self, now);
    }

    fn delete(&self, writer: &mut Writer, now: u32) {
        writer.delete_service(&self.metadata, now);
    }
}

impl<'a> Object<'a> for EndpointSlice<'a> {
    type Labels = Labels<'a>;

    fn metadata(&self) -> &Metadata<'a, Self::Labels> {
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
    type Labels = Labels<'a>;

    fn metadata(&self) -> &Metadata<'a, Self::Labels> {
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
    type Labels = AllLabels<'a>;

    fn metadata(&self) -> &Metadata<'a, Self::Labels> {
        &self.metadata
    }

    fn put(&self, writer: &mut Writer, now: u32) {
        writer.put_pod(self, now);
    }

    fn delete(&self, writer: &mut Writer, now: u32) {
        writer.delete_pod(&self.metadata, now);
    }
}
