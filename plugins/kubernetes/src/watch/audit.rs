//! Whether what is known is what the API server has: what a watch does not tell, nobody would ever miss.
//!
//! Two questions are asked while the watch goes on. A list of one object says at next to no cost how many there are, and up to
//! which version: that finds an addition or a deletion that got lost, and a server that was restored from a backup. A list of all
//! names and versions, without what the objects say, finds a change that got lost; it costs more and is made less often.

use super::apply::frame;
use super::backoff::about;
use super::end::{Doubt, is_before};
use super::items::{Items, TooLarge};
use super::known::Comparison;
use super::lines::piece;
use super::{SharedRecord, Watch, apply, locked, plural};
use crate::connect::Api;
use crate::metrics::{Check, Checks};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

/// Asks about one kind, and tells of doubts.
pub struct Audit {
    /// Which objects, and how often.
    pub watch: Watch,
    /// Who is asked.
    pub api: Arc<Api>,
    /// What is known.
    pub record: SharedRecord,
    /// Who is told.
    pub doubts: Sender<(Doubt, String)>,
    /// What came of it.
    pub checks: Checks,
}

/// What a list of one object says.
struct Count {
    /// How many objects there are; `None` where the server does not say.
    objects: Option<u64>,
    version: String,
}

impl Audit {
    /// Asks until it is dropped.
    pub async fn run(&self) {
        tokio::join!(self.count(), self.compare());
    }

    /// Looks at the number of objects, again and again.
    async fn count(&self) {
        let mut in_vain = 0;
        loop {
            sleep(about(self.watch.pace.count * (1 << in_vain))).await;
            let Some(lists) = self.following() else { continue };
            let doubt = self.counted().await;
            // The number is not worth much where a list made for its sake did not mend it.
            in_vain = if matches!(doubt, Some((Doubt::Count, _))) { (in_vain + 1).min(MOST_IN_VAIN) } else { 0 };
            if let Some(doubt) = doubt
                && self.following() == Some(lists)
            {
                self.tell(doubt).await;
            }
        }
    }

    /// Looks at the number of objects until it is as known, or has differed by as much several times.
    async fn counted(&self) -> Option<(Doubt, String)> {
        let mut differed = None;
        for look in 1..=LOOKS {
            let before = locked(&self.record).version()?.to_owned();
            let count = match self.ask_count().await {
                Ok(count) => count,
                Err(why) => {
                    tracing::debug!("{} are not counted: {why}", self.kind());
                    self.checks.made(Check::Count, "failed");
                    return None;
                }
            };
            if is_before(&count.version, &before) {
                self.checks.made(Check::Count, "different");
                return Some((Doubt::Version, format!("a list has version {} after {before}", count.version)));
            }
            let known = locked(&self.record).len() as i64;
            let Some(objects) = count.objects.map(|n| n as i64) else {
                self.checks.made(Check::Count, "unknown");
                return None;
            };
            if objects == known {
                self.checks.made(Check::Count, "equal");
                return None;
            }
            if look == LOOKS && differed == Some(objects - known) {
                self.checks.made(Check::Count, "different");
                return Some((Doubt::Count, format!("there are {objects}, and {known} are known")));
            }
            differed = differed.or(Some(objects - known)).filter(|d| *d == objects - known);
            sleep(self.watch.pace.recount).await;
        }
        None
    }

    async fn ask_count(&self) -> Result<Count, String> {
        let mut items = Items::default();
        let mut objects = 0;
        let each = |_: &[u8]| {
            objects += 1;
            Ok::<_, TooLarge>(())
        };
        self.read(&[("limit", "1")], &mut items, each).await?;
        let metadata = frame(&items).map_err(|e| e.to_string())?;
        let rest = if metadata.next.is_empty() { Some(0) } else { metadata.remaining_item_count };
        Ok(Count { objects: rest.map(|rest| rest + objects), version: metadata.resource_version.to_string() })
    }

    /// Compares all names and versions, again and again.
    async fn compare(&self) {
        if self.watch.pace.resync.is_zero() {
            return;
        }
        loop {
            sleep(about(self.watch.pace.resync)).await;
            let Some(lists) = self.following() else { continue };
            let mut comparison = locked(&self.record).begin_comparison();
            let listed = self.list_versions(&mut comparison).await;
            // What changed just before may be on its way still.
            sleep(self.watch.pace.lag).await;
            let differences = locked(&self.record).end_comparison(&comparison);
            if self.following() != Some(lists) {
                continue;
            }
            match (listed, differences) {
                (Err(why), _) => {
                    tracing::debug!("{} are not compared: {why}", self.kind());
                    self.checks.made(Check::Versions, "failed");
                }
                (Ok(()), None) => self.checks.made(Check::Versions, "unknown"),
                (Ok(()), Some(0)) => self.checks.made(Check::Versions, "equal"),
                (Ok(()), Some(n)) => {
                    self.checks.made(Check::Versions, "different");
                    self.tell((Doubt::Difference, format!("{n} are not as the API server has them"))).await;
                }
            }
        }
    }

    /// Reads all names and versions, page by page.
    async fn list_versions(&self, comparison: &mut Comparison) -> Result<(), String> {
        let mut next = String::new();
        loop {
            let mut query = vec![("limit", PAGE)];
            if !next.is_empty() {
                query.push(("continue", &*next));
            }
            let mut items = Items::default();
            let each = |object: &[u8]| {
                let apply::Any { metadata } = serde_json::from_slice(object)?;
                let (namespace, name, version) = (&metadata.namespace, &metadata.name, &metadata.resource_version);
                locked(&self.record).compare(comparison, namespace, name, version);
                Ok::<_, serde_json::Error>(())
            };
            self.read(&query, &mut items, each).await?;
            next = frame(&items).map_err(|e| e.to_string())?.next.to_string();
            if next.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads a page of names and versions.
    async fn read<E: From<TooLarge> + std::fmt::Debug>(
        &self,
        query: &[(&str, &str)],
        items: &mut Items,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), String> {
        let _under_way = self.api.inflight().await;
        let mut body = self.api.list_names(&self.watch.path(query)).await.map_err(|e| e.to_string())?;
        while let Some(data) = piece(&mut body, self.watch.pace.stall).await? {
            self.checks.read(data.len());
            items.feed(&data, &mut each).map_err(|e| format!("{e:?}"))?;
        }
        Ok(())
    }

    async fn tell(&self, doubt: (Doubt, String)) {
        // Whoever does not listen any more has ended, and this ends with it.
        let _ = self.doubts.send(doubt).await;
    }

    fn following(&self) -> Option<u64> {
        locked(&self.record).following()
    }

    fn kind(&self) -> &'static str {
        plural(self.watch.kind)
    }
}

/// So many looks at a number of objects have to differ from what is known, and by the same number.
const LOOKS: u32 = 3;
/// How often the time between looks is doubled at most, where lists do not mend what they find: to a quarter of an hour.
const MOST_IN_VAIN: u32 = 5;
/// Names in a page.
const PAGE: &str = "500";
