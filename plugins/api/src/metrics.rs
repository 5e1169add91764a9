//! Metrics: counted per thread without locks or shared cache lines, summed up when they are read.
//!
//! A plugin declares its metrics as statics, names them in its [`crate::PluginDef`], and takes handles at set-up or at the
//! first query of a site. Adding to a handle is one load and one store in memory that only this thread writes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Something that is declared once and shown on the metrics page.
pub trait Metric: Sync {
    /// Puts it on the page: at once where it has no labels, else from its first use on.
    fn register(&self);

    /// Its full name.
    fn name(&self) -> &'static str;

    /// Name, type, labels and bounds of buckets, with a blank between them; `-` for none: what a test compares with CoreDNS's.
    fn shape(&self) -> String;
}

/// Name, help and labels, the latter in alphabetical order, as they are printed.
#[derive(Clone, Copy)]
struct Desc {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    kind: Kind,
}

impl Desc {
    fn shape(&self) -> String {
        let list = |all: Vec<String>| if all.is_empty() { "-".to_owned() } else { all.join(",") };
        let labels = list(self.labels.iter().map(|label| (*label).to_owned()).collect());
        let bounds = match self.kind {
            Kind::Histogram(bounds, _) => list(bounds.iter().map(|bound| number(*bound)).collect()),
            Kind::Counter | Kind::Gauge => list(Vec::new()),
        };
        format!("{} {} {labels} {bounds}", self.name, self.kind.name())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Histogram(&'static [f64], Unit),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(..) => "histogram",
        }
    }
}

/// What a histogram counts in.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Unit {
    /// Durations; kept in nanoseconds, shown in seconds.
    Seconds,
    /// Anything that is counted in whole numbers.
    Count,
}

/// Bucket bounds of the duration histograms: 0.00025 · 2^k seconds, k = 0…15.
pub const DURATION_BUCKETS: &[f64] = &[
    0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192,
];

macro_rules! family {
    ($(#[$doc:meta])* $family:ident, $handle:ident, $kind:expr, ($($arg:ident: $type:ty),*)) => {
        $(#[$doc])*
        pub struct $family(Desc);

        impl $family {
            /// Declares it; labels in alphabetical order.
            pub const fn new(name: &'static str, help: &'static str, labels: &'static [&'static str], $($arg: $type),*) -> Self {
                $family(Desc { name, help, labels, kind: $kind })
            }

            /// The handle for these label values, in the order of the labels. Takes a lock: for set-up, not for queries.
            pub fn with(&self, values: &[&str]) -> $handle {
                $handle::new(registry().child(&self.0, values))
            }
        }

        impl Metric for $family {
            fn register(&self) {
                registry().family(&self.0);
                if self.0.labels.is_empty() {
                    self.with(&[]);
                }
            }

            fn name(&self) -> &'static str {
                self.0.name
            }

            fn shape(&self) -> String {
                self.0.shape()
            }
        }
    };
}

family!(
    /// A number that only grows.
    CounterFamily, Counter, Kind::Counter, ()
);
family!(
    /// A number that is set.
    GaugeFamily, Gauge, Kind::Gauge, ()
);
family!(
    /// How observed values are distributed over buckets.
    HistogramFamily, Histogram, Kind::Histogram(bounds, unit), (bounds: &'static [f64], unit: Unit)
);

impl CounterFamily {
    /// Shows the series of these label values from now on, though nothing was counted yet: the first count is an increase then. Takes
    /// a lock.
    pub fn show(&self, values: &[&str]) {
        registry().child(&self.0, values).gauge.store(0, Relaxed);
    }
}

/// A counter with its labels.
#[derive(Clone, Copy, Debug)]
pub struct Counter(u32);

impl Counter {
    fn new(child: Child) -> Counter {
        Counter(child.first)
    }

    /// Adds one.
    pub fn inc(self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(self, n: u64) {
        tally(|tally| tally.add(self, n));
    }

    /// The sum over all threads.
    pub fn value(self) -> u64 {
        registry().sum(self.0)
    }
}

/// A gauge with its labels; shared between threads, not for the path of a query.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    fn new(child: Child) -> Gauge {
        Gauge(child.gauge)
    }

    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// Takes the series off the page until it is set again.
    pub fn unset(&self) {
        self.0.store(UNSET, Relaxed);
    }
}

/// A histogram with its labels.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    first: u32,
    bounds: &'static [f64],
}

/// Two handles of one series are equal.
impl PartialEq for Histogram {
    fn eq(&self, other: &Histogram) -> bool {
        self.first == other.first
    }
}

impl Histogram {
    fn new(child: Child) -> Histogram {
        let Kind::Histogram(bounds, _) = child.kind else { unreachable!("declared as a histogram") };
        Histogram { first: child.first, bounds }
    }

    /// Observes a duration (unit [`Unit::Seconds`]).
    pub fn observe(self, duration: Duration) {
        tally(|tally| tally.observe(self, duration));
    }

    /// Observes a number (unit [`Unit::Count`]).
    pub fn observe_count(self, n: u64) {
        tally(|tally| tally.observe_count(self, n));
    }
}

/// Where this thread counts: several numbers are counted for less than one by one. See [`tally`].
pub struct Tally<'a>(&'a Slab);

/// Lets `count` count; what is counted while the thread ends is lost.
pub fn tally(count: impl FnOnce(Tally<'_>)) {
    let _ = MINE.try_with(|mine| count(Tally(&mine.0)));
}

impl Tally<'_> {
    /// Adds `n`.
    pub fn add(&self, counter: Counter, n: u64) {
        self.0.add(counter.0, n);
    }

    /// Observes a duration (unit [`Unit::Seconds`]).
    pub fn observe(&self, histogram: Histogram, duration: Duration) {
        self.observe_equal(histogram, duration, 1);
    }

    /// Observes `times` durations that are equal (unit [`Unit::Seconds`]).
    pub fn observe_equal(&self, histogram: Histogram, duration: Duration, times: u64) {
        let nanos = duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into());
        self.put(histogram, nanos as f64 * 1e-9, nanos, times);
    }

    /// Observes a number (unit [`Unit::Count`]).
    pub fn observe_count(&self, histogram: Histogram, n: u64) {
        self.put(histogram, n as f64, n, 1);
    }

    fn put(&self, Histogram { first, bounds }: Histogram, value: f64, units: u64, times: u64) {
        let bucket = bounds.iter().position(|&b| value <= b).unwrap_or(bounds.len());
        let cells = self.0.cells(first);
        if let (Some(count), Some(sum)) = (cells.get(bucket), cells.get(bounds.len() + 1)) {
            add(count, times);
            add(sum, units.wrapping_mul(times));
        }
    }
}

/// One series of a family.
#[derive(Clone)]
struct Child {
    /// Number of its first cell in every thread's slab.
    first: u32,
    kind: Kind,
    /// The value of a gauge; of a counter [`UNSET`] or not: whether it is shown before its first use.
    gauge: Arc<AtomicU64>,
}

/// A gauge that has never been set: not on the page. (The bits of a NaN that no arithmetic yields.)
const UNSET: u64 = u64::MAX;

/// Cells of one thread.
struct Slab {
    chunks: Box<[OnceLock<Chunk>]>,
}

type Chunk = Box<[AtomicU64; CHUNK]>;

/// Cells in a chunk, and chunks in a slab: a process has room for a million cells. Those of a series stand in one chunk.
const CHUNK: usize = 1024;

impl Slab {
    fn new() -> Slab {
        Slab { chunks: (0..CHUNK).map(|_| OnceLock::new()).collect() }
    }

    /// The cells of a series from number `first` on, and those behind them; none where there is no room for them.
    fn cells(&self, first: u32) -> &[AtomicU64] {
        let Some(chunk) = self.chunks.get(first as usize / CHUNK) else { return &[] };
        let chunk = chunk.get_or_init(|| Box::new([const { AtomicU64::new(0) }; CHUNK]));
        &chunk[first as usize % CHUNK..]
    }

    fn add(&self, cell: u32, n: u64) {
        if let Some(cell) = self.cells(cell).first() {
            add(cell, n);
        }
    }

    fn get(&self, cell: u32) -> u64 {
        let chunk = self.chunks.get(cell as usize / CHUNK).and_then(OnceLock::get);
        chunk.map_or(0, |c| c[cell as usize % CHUNK].load(Relaxed))
    }
}

/// Adds to a cell of this thread: nobody else writes to it.
fn add(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

/// A thread's slab; what it counted is kept when the thread ends.
struct Mine(Arc<Slab>);

impl Drop for Mine {
    fn drop(&mut self) {
        let mut slabs = lock(&registry().slabs);
        slabs.live.retain(|s| !Arc::ptr_eq(s, &self.0));
        let cells = registry().cells.load(Relaxed);
        (0..cells).for_each(|cell| slabs.ended.add(cell, self.0.get(cell)));
    }
}

thread_local! {
    static MINE: Mine = {
        let slab = Arc::new(Slab::new());
        lock(&registry().slabs).live.push(slab.clone());
        Mine(slab)
    };
}

/// Everything that is counted in this process.
struct Registry {
    families: Mutex<BTreeMap<&'static str, Family>>,
    slabs: Mutex<Slabs>,
    cells: AtomicU32,
    collectors: Mutex<BTreeMap<&'static str, Collector>>,
}

struct Slabs {
    live: Vec<Arc<Slab>>,
    ended: Slab,
}

struct Family {
    desc: Desc,
    children: BTreeMap<Vec<String>, Child>,
}

/// Writes further metrics onto the page when it is asked for; see [`collector`].
pub type Collector = fn(&mut String);

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry {
        families: Mutex::default(),
        slabs: Mutex::new(Slabs { live: Vec::new(), ended: Slab::new() }),
        cells: AtomicU32::new(0),
        collectors: Mutex::default(),
    })
}

/// No invariant of the tables spans two statements, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    fn family(&self, desc: &Desc) {
        lock(&self.families).entry(desc.name).or_insert_with(|| Family { desc: *desc, children: BTreeMap::new() });
    }

    fn child(&self, desc: &Desc, values: &[&str]) -> Child {
        assert_eq!(desc.labels.len(), values.len(), "{}: one value for each label", desc.name);
        self.family(desc);
        let mut families = lock(&self.families);
        let family = families.get_mut(desc.name).expect("just entered");
        let key = values.iter().map(|v| v.to_string()).collect();
        let new = || {
            let cells = match desc.kind {
                Kind::Counter => 1,
                Kind::Gauge => 0,
                Kind::Histogram(bounds, _) => bounds.len() as u32 + 2,
            };
            let start = if desc.labels.is_empty() { 0 } else { UNSET };
            let gauge = Arc::new(AtomicU64::new(start));
            Child { first: self.take_cells(cells), kind: desc.kind, gauge }
        };
        family.children.entry(key).or_insert_with(new).clone()
    }

    /// The number of the first of so many new cells, all in one chunk.
    fn take_cells(&self, count: u32) -> u32 {
        let first = |taken: u32| {
            let left = CHUNK as u32 - taken % CHUNK as u32;
            if count > left { taken + left } else { taken }
        };
        let (Ok(taken) | Err(taken)) = self.cells.fetch_update(Relaxed, Relaxed, |taken| Some(first(taken) + count));
        first(taken)
    }

    fn sum(&self, cell: u32) -> u64 {
        let slabs = lock(&self.slabs);
        slabs.live.iter().map(|s| s.get(cell)).fold(slabs.ended.get(cell), u64::wrapping_add)
    }
}

/// Adds metrics that are read off the system when the page is asked for, under a name of their own.
pub fn collector(name: &'static str, collect: Collector) {
    lock(&registry().collectors).insert(name, collect);
}

/// Drops every series of a gauge: what it told is no longer so.
pub fn reset(family: &GaugeFamily) {
    if let Some(f) = lock(&registry().families).get_mut(family.0.name) {
        f.children.values().for_each(|c| c.gauge.store(UNSET, Relaxed));
    }
}

/// The page, in Prometheus's text format 0.0.4: families by name; series with labels from their first use on.
pub fn page() -> String {
    let mut out = String::with_capacity(16 * 1024);
    for family in lock(&registry().families).values() {
        write_family(&mut out, family);
    }
    for collect in lock(&registry().collectors).values() {
        collect(&mut out);
    }
    out
}

fn write_family(out: &mut String, family: &Family) {
    let mut lines = String::new();
    for (values, child) in &family.children {
        write_series(&mut lines, &family.desc, values, child);
    }
    if lines.is_empty() {
        return;
    }
    let Desc { name, help, kind, .. } = family.desc;
    let kind = kind.name();
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
}

fn write_series(out: &mut String, desc: &Desc, values: &[String], child: &Child) {
    let r = registry();
    match child.kind {
        Kind::Counter => {
            let n = r.sum(child.first);
            if n > 0 || child.gauge.load(Relaxed) != UNSET {
                sample(out, desc.name, "", desc.labels, values, None, &n.to_string());
            }
        }
        Kind::Gauge => {
            let bits = child.gauge.load(Relaxed);
            if bits != UNSET {
                sample(out, desc.name, "", desc.labels, values, None, &number(f64::from_bits(bits)));
            }
        }
        Kind::Histogram(bounds, unit) => {
            let counts: Vec<u64> = (0..=bounds.len() as u32).map(|i| r.sum(child.first + i)).collect();
            let total: u64 = counts.iter().sum();
            if total == 0 && !desc.labels.is_empty() {
                return;
            }
            let mut so_far = 0;
            for (count, bound) in counts.iter().zip(bounds.iter().copied().chain([f64::INFINITY])) {
                so_far += count;
                sample(out, desc.name, "_bucket", desc.labels, values, Some(bound), &so_far.to_string());
            }
            let sum = r.sum(child.first + bounds.len() as u32 + 1) as f64;
            let sum = if unit == Unit::Seconds { sum / 1e9 } else { sum };
            sample(out, desc.name, "_sum", desc.labels, values, None, &number(sum));
            sample(out, desc.name, "_count", desc.labels, values, None, &total.to_string());
        }
    }
}

/// Writes one line of the page.
fn sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &[&str],
    values: &[String],
    le: Option<f64>,
    value: &str,
) {
    let _ = write!(out, "{name}{suffix}");
    let bound = le.map(number);
    let pairs =
        labels.iter().copied().zip(values.iter().map(String::as_str)).chain(bound.as_deref().map(|b| ("le", b)));
    for (i, (label, value)) in pairs.enumerate() {
        let _ = write!(out, "{}{label}=\"", if i == 0 { '{' } else { ',' });
        escape(out, value);
        out.push('"');
    }
    if !labels.is_empty() || le.is_some() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

/// A label value as the format wants it: backslash, quote and line end escaped.
fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// A number as Prometheus prints it.
fn number(n: f64) -> String {
    match n {
        _ if n == f64::INFINITY => "+Inf".into(),
        _ if n.abs() >= 1e21 || (n != 0.0 && n.abs() < 1e-6) => {
            format!("{n:e}").replace('e', "e+").replace("e+-", "e-")
        }
        _ => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(start: &str) -> Vec<String> {
        page().lines().filter(|l| l.starts_with(start)).map(String::from).collect()
    }

    #[test]
    fn counters_are_summed_over_threads_that_live_and_that_ended() {
        static C: CounterFamily = CounterFamily::new("test_c_total", "Help.", &["a", "b"]);
        let c = C.with(&["x", "q\"\\\n"]);
        assert!(lines("test_c_total").is_empty(), "not shown before its first use");
        C.show(&["shown", "y"]);
        assert_eq!(lines("test_c_total"), [r#"test_c_total{a="shown",b="y"} 0"#]);
        std::thread::spawn(move || c.add(2)).join().unwrap();
        c.inc();
        assert_eq!(c.value(), 3);
        let (shown, counted) = (r#"test_c_total{a="shown",b="y"} 0"#, r#"test_c_total{a="x",b="q\"\\\n"} 3"#);
        assert_eq!(lines("test_c_total"), [shown, counted]);
        assert_eq!(lines("# TYPE test_c_total"), ["# TYPE test_c_total counter"]);
    }

    #[test]
    fn gauges_are_shown_once_they_are_set() {
        static G: GaugeFamily = GaugeFamily::new("test_g", "Help.", &["a"]);
        static ALONE: GaugeFamily = GaugeFamily::new("test_alone", "Help.", &[]);
        G.with(&["1"]).set(2.5);
        G.with(&["2"]);
        ALONE.register();
        assert_eq!(lines("test_g"), [r#"test_g{a="1"} 2.5"#]);
        assert_eq!(lines("test_alone"), ["test_alone 0"]);
        reset(&G);
        assert!(lines("test_g").is_empty());
    }

    #[test]
    fn histograms_have_cumulative_buckets() {
        static H: HistogramFamily = HistogramFamily::new("test_h", "Help.", &[], &[0.001, 1.0], Unit::Seconds);
        let h = H.with(&[]);
        h.observe(Duration::from_millis(1));
        h.observe(Duration::from_millis(250));
        h.observe(Duration::from_secs(2));
        let want = [
            r#"test_h_bucket{le="0.001"} 1"#,
            r#"test_h_bucket{le="1"} 2"#,
            r#"test_h_bucket{le="+Inf"} 3"#,
            "test_h_sum 2.251",
            "test_h_count 3",
        ];
        assert_eq!(lines("test_h"), want);
    }

    #[test]
    fn every_series_has_room_for_all_its_buckets() {
        static MANY: HistogramFamily = HistogramFamily::new("test_many", "Help.", &["n"], &[1.0; 100], Unit::Count);
        for n in 0..30 {
            MANY.with(&[&n.to_string()]).observe_count(2);
        }
        let last = lines("test_many_bucket").into_iter().filter(|line| line.contains("+Inf")).collect::<Vec<_>>();
        assert_eq!((last.len(), lines("test_many_sum").len()), (30, 30));
        assert!(last.iter().all(|line| line.ends_with(" 1")), "{last:?}");
        assert!(lines("test_many_sum").iter().all(|line| line.ends_with(" 2")));
    }
}
