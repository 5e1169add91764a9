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
    objects: Option<i64>,
    version: String,
}

/// What came of looking at the number of objects.
enum Counted {
    /// No doubt; for the metric.
    Nothing(&'static str),
    /// There are others than are known.
    Other { objects: i64, known: i64 },
    /// The server knows less than it has told.
    Before(String),
}

/// A number that differs by the same again and again, though a list was made each time, is not worth much.
#[derive(Default)]
struct InVain {
    difference: i64,
    times: u32,
}

impl InVain {
    fn again(&mut self, difference: i64) {
        self.times = if difference == self.difference { self.times + 1 } else { 1 };
        self.difference = difference;
    }

    /// How many times longer than usual to wait for the next look: from the third time on twice as long, then four times …
    fn longer(&self) -> u32 {
        1 << self.times.saturating_sub(2).min(5)
    }
}

impl Audit {
    /// Asks until it is dropped.
    pub async fn run(&self) {
        tokio::join!(self.count(), self.compare());
    }

    /// Looks at the number of objects, again and again.
    async fn count(&self) {
        let mut in_vain = InVain::default();
        loop {
            sleep(about(self.watch.pace.count * in_vain.longer())).await;
            let Some(lists) = self.following() else { continue };
            let found = self.counted().await;
            let doubt = match found {
                Counted::Other { objects, known } => {
                    in_vain.again(objects - known);
                    (Doubt::Count, format!("there are {objects}, and {known} are known"))
                }
                Counted::Before(why) => (Doubt::Version, why),
                Counted::Nothing(result) => {
                    in_vain = InVain::default();
                    self.checks.made(Check::Count, result);
                    continue;
                }
            };
            self.checks.made(Check::Count, "different");
            if self.following() == Some(lists) {
                self.tell(doubt).await;
            }
        }
    }

    /// Looks at the number of objects until it is as known, or has differed by as much several times.
    async fn counted(&self) -> Counted {
        let (mut difference, mut times) = (0, 0);
        for _ in 0..LOOKS {
            let (before, changes) = match &*locked(&self.record) {
                record if record.version().is_none() => return Counted::Nothing("unknown"),
                record => (record.version().unwrap_or_default().to_owned(), record.changes()),
            };
            let count = match self.ask_count().await {
                Ok(count) => count,
                Err(why) => {
                    tracing::debug!("{} are not counted: {why}", self.kind());
                    return Counted::Nothing("failed");
                }
            };
            if is_before(&count.version, &before) {
                return Counted::Before(format!("a list has version {} after {before}", count.version));
            }
            let Some(objects) = count.objects else { return Counted::Nothing("unknown") };
            if objects == self.known() {
                return Counted::Nothing("equal");
            }
            // What changed just before may be on its way still.
            sleep(self.watch.pace.recount / 20).await;
            let known = self.known();
            if locked(&self.record).changes() == changes {
                times = if objects - known == difference { times + 1 } else { 1 };
                difference = objects - known;
            }
            if times == ENOUGH {
                return Counted::Other { objects, known };
            }
            sleep(self.watch.pace.recount).await;
        }
        Counted::Nothing("unknown")
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
        Ok(Count {
            objects: rest.map(|rest| i64::try_from(rest).unwrap_or(i64::MAX).saturating_add(objects)),
            version: metadata.resource_version.to_string(),
        })
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
        let (mut next, limit) = (String::new(), self.watch.pace.page.to_string());
        loop {
            let mut query = vec![("limit", &*limit)];
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

    fn known(&self) -> i64 {
        locked(&self.record).len() as i64
    }

    fn following(&self) -> Option<u64> {
        locked(&self.record).following()
    }

    fn kind(&self) -> &'static str {
        plural(self.watch.kind)
    }
}

/// So many looks at a number of objects have to differ from what is known, by the same number and with no change in between.
const ENOUGH: u32 = 3;
/// So many looks are made, where there are changes.
const LOOKS: u32 = 8;
