//! The ways in which the API server fails.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::{Duration, Instant};

/// What is wrong with the server at present. As JSON its fields are those of the recordings' `api`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every request is answered with this status; 0 for none.
    pub status: u16,
    /// Seconds that an answer with `status` asks to wait for (Retry-After); 0 for none.
    pub retry_after: u32,
    /// The resources (plural words) that `status` is for; empty for all.
    pub only: Vec<String>,
    /// Seconds before each answer.
    pub delay: f64,
    /// Seconds before each page of a list, and before a streaming list.
    pub page_delay: f64,
    /// Watches say nothing more.
    pub freeze: bool,
    /// Watches get bookmarks, where they ask for them.
    pub bookmarks: bool,
    /// Streaming lists are served; otherwise they are refused with 422.
    pub streaming: bool,
    /// Every watch ends with 410 at once.
    pub gone: bool,
    /// So many of the next events are left out of every watch.
    pub drop: u32,
    /// So many of the next events are cut in the middle, and the connection with them.
    pub truncate: u32,
    /// So many of the next events follow a line that is not JSON.
    pub garbage: u32,
    /// So many of the next events are followed by 410 and the end of their watch.
    pub gone_midway: u32,
    /// So many of the next lists are not JSON.
    pub garbage_list: u32,
    /// So many of the next lists end in the middle.
    pub truncate_list: u32,
    /// So many of the next later pages of lists are refused with 410.
    pub expire_continue: u32,
    /// The connection that sends the octet of this number, counted from now over all of them, is cut in front of it; 0 for none.
    pub cut: u64,
    /// Requests without this bearer token are refused with 401; empty for none.
    pub token: String,
    /// Watches that were opened before this moment say nothing more.
    #[serde(skip)]
    pub freeze_before: Option<Instant>,
}

impl Default for Faults {
    /// No faults.
    fn default() -> Self {
        Self {
            status: 0,
            retry_after: 0,
            only: Vec::new(),
            delay: 0.0,
            page_delay: 0.0,
            freeze: false,
            bookmarks: true,
            streaming: true,
            gone: false,
            drop: 0,
            truncate: 0,
            garbage: 0,
            gone_midway: 0,
            garbage_list: 0,
            truncate_list: 0,
            expire_continue: 0,
            cut: 0,
            token: String::new(),
            freeze_before: None,
        }
    }
}

impl Faults {
    /// Changes the fields that a JSON object names.
    ///
    /// # Errors
    /// A field that does not exist, or a value that does not fit it.
    pub fn merge(&mut self, changes: &Value) -> Result<(), serde_json::Error> {
        let mut all = serde_json::to_value(&*self)?;
        if let (Value::Object(all), Value::Object(changes)) = (&mut all, changes) {
            all.extend(changes.clone());
        }
        let freeze_before = self.freeze_before;
        *self = serde_json::from_value(all)?;
        self.freeze_before = freeze_before;
        Ok(())
    }

    /// Uses up one of the faults that are counted; whether there was one.
    pub(super) fn take(&mut self, count: impl FnOnce(&mut Self) -> &mut u32) -> bool {
        let count = count(self);
        let hit = *count > 0;
        *count -= u32::from(hit);
        hit
    }

    /// The status that requests for this resource get, if it is not the right one.
    pub(super) fn status_for(&self, resource: &str) -> Option<u16> {
        let concerned = self.only.is_empty() || self.only.iter().any(|o| o == resource);
        Some(self.status).filter(|s| *s != 0 && concerned)
    }

    /// Whether a watch that was opened at `born` says nothing.
    pub(super) fn frozen(&self, born: Instant) -> bool {
        self.freeze || self.freeze_before.is_some_and(|t| born < t)
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_secs_f64(self.delay)
    }

    pub(super) fn page_delay(&self) -> Duration {
        Duration::from_secs_f64(self.page_delay)
    }
}
