//! Lines on their way to standard output.
//!
//! A worker puts its lines into a buffer of its own, which one thread, the writer, empties. So an answer never waits for whoever
//! reads the log, and the lines of a worker that panics or hangs are not lost with it. Other threads write by themselves, after
//! what has been said before. All lines come out in the order of time.

use api::Clock;
use api::metrics::{Counter, CounterFamily};
use std::io::{self, Write};
use std::iter::once;
use std::mem::swap;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Octets of one buffer's lines that wait at most; more are dropped and counted.
const MOST: usize = 4 * 1024 * 1024;
/// Octets that a worker's buffer always has room for.
const ROOM: usize = 256 * 1024;
/// Octets of a line, about.
const LINE: usize = 128;
/// How long the writer lets lines come together after it has written some.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the end of the process waits for lines to be written, in units of [`PAUSE`].
const PATIENCE: usize = 100;

static DROPPED: CounterFamily = CounterFamily::new(
    "coredns_log_lines_dropped_total",
    "Counter of log lines that were dropped because standard output was not read fast enough or could not be written.",
    &[],
);
static DROPPED_LINES: LazyLock<Counter> = LazyLock::new(|| DROPPED.with(&[]));

/// Lines that wait. The lock of a worker's is held by others only while they take all of them, mostly once in [`PAUSE`].
#[repr(align(128))] // what one worker writes is in no cache line of another's
struct Buffer(Mutex<Lines>);

/// Lines, one behind the other.
struct Lines {
    octets: Vec<u8>,
    /// When each line came, and where it ends.
    ends: Vec<(Instant, usize)>,
}

thread_local! {
    /// The buffer of this thread, where it is a worker.
    static MINE: std::cell::Cell<Option<&'static Buffer>> = const { std::cell::Cell::new(None) };
}

/// Who holds it writes; so nobody writes lines before others that came earlier.
static OUTLET: Mutex<Outlet> = Mutex::new(Outlet { workers: Vec::new(), taken: Vec::new(), merged: Vec::new() });
/// The lines of all threads that are no workers.
static OTHERS: Buffer = Buffer(Mutex::new(Lines::new()));
static WRITER: OnceLock<Thread> = OnceLock::new();

/// What it takes to write the lines of all.
struct Outlet {
    workers: Vec<&'static Buffer>,
    /// Lines that are written, by buffer; then they make room for new ones.
    taken: Vec<Lines>,
    /// The lines of several buffers in their order.
    merged: Vec<u8>,
}

/// Starts the writer.
///
/// # Errors
/// No thread can be had.
pub fn start() -> io::Result<()> {
    let writer = thread::Builder::new().name("log".into()).spawn(write_for_ever)?;
    let _first = WRITER.set(writer.thread().clone());
    Ok(())
}

/// From now on the lines of this thread, a worker, are left for the writer. There are as many buffers as there ever were workers.
pub fn collect() {
    let buffer = Box::leak(Box::new(Buffer(Mutex::new(Lines::with_room()))));
    lock(&OUTLET).workers.push(buffer);
    MINE.set(Some(buffer));
}

/// Appends what `write` writes, one line; it must not log anything itself.
pub fn append(write: impl FnOnce(&mut Vec<u8>)) {
    match MINE.get() {
        Some(buffer) => {
            if buffer.put(write) {
                wake();
            }
        }
        None => {
            OTHERS.put(write);
            if !write_unless_busy() {
                wake(); // whoever writes now may have been here already
            }
        }
    }
}

/// Writes all that waits, at the end of the process.
pub fn finish() {
    // Where the writer is stuck because nobody reads, the process ends all the same.
    for _ in 0..PATIENCE {
        if write_unless_busy() {
            return;
        }
        thread::sleep(PAUSE);
    }
}

impl Lines {
    const fn new() -> Lines {
        Lines { octets: Vec::new(), ends: Vec::new() }
    }

    fn with_room() -> Lines {
        Lines { octets: Vec::with_capacity(ROOM), ends: Vec::with_capacity(ROOM / LINE) }
    }

    /// Each line with the time when it came.
    fn iter(&self) -> impl Iterator<Item = (Instant, &[u8])> {
        let begins = once(0).chain(self.ends.iter().map(|line| line.1));
        self.ends.iter().zip(begins).map(|(&(came, end), begin)| (came, &self.octets[begin..end]))
    }

    /// Forgets all lines, but keeps room for others.
    fn clear(&mut self) {
        self.octets.clear();
        self.ends.clear();
        self.octets.shrink_to(ROOM);
        self.ends.shrink_to(ROOM / LINE);
    }
}

impl Buffer {
    /// Appends a line, if there is room; returns whether it is the first, so that the writer has to be told.
    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut waiting = lock(&self.0);
        let before = waiting.octets.len();
        write(&mut waiting.octets);
        let end = waiting.octets.len();
        if end > MOST {
            waiting.octets.truncate(before);
            DROPPED_LINES.inc();
        } else {
            waiting.ends.push((Clock::system().now(), end));
        }
        before == 0
    }
}

/// Makes the writer look at the buffers. It costs a system call only when the writer sleeps because there was nothing to write.
fn wake() {
    if let Some(writer) = WRITER.get() {
        writer.unpark();
    }
}

fn write_for_ever() {
    loop {
        let wrote = lock(&OUTLET).write();
        if wrote { thread::sleep(PAUSE) } else { thread::park() }
    }
}

/// Writes what waits, unless somebody does that now; returns whether it did.
fn write_unless_busy() -> bool {
    let outlet = match OUTLET.try_lock() {
        Ok(outlet) => Some(outlet),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    outlet.map(|mut outlet| outlet.write()).is_some()
}

impl Outlet {
    /// Writes the lines in all buffers; returns whether there were any.
    fn write(&mut self) -> bool {
        self.take();
        let Outlet { taken, merged, .. } = self;
        let mut some = taken.iter().filter(|lines| !lines.ends.is_empty());
        let Some(first) = some.next() else { return false };
        if some.next().is_none() {
            put_out(&first.octets);
        } else {
            let mut all: Vec<(Instant, &[u8])> = taken.iter().flat_map(Lines::iter).collect();
            all.sort_by_key(|line| line.0);
            all.iter().for_each(|line| merged.extend_from_slice(line.1));
            put_out(merged);
            merged.clear();
            merged.shrink_to(ROOM);
        }
        taken.iter_mut().for_each(Lines::clear);
        true
    }

    /// Takes the lines out of all buffers at the same moment: no line stays behind that came before one that is taken.
    fn take(&mut self) {
        let Outlet { workers, taken, .. } = self;
        taken.resize_with(workers.len() + 1, Lines::with_room);
        let buffers = workers.iter().copied().chain(once(&OTHERS));
        let mut locked: Vec<_> = buffers.map(|buffer| lock(&buffer.0)).collect();
        locked.iter_mut().zip(taken).for_each(|(waiting, taken)| swap(&mut **waiting, taken));
    }
}

/// Writes lines.
fn put_out(lines: &[u8]) {
    let lost = print(&mut io::stdout().lock(), lines);
    if lost > 0 {
        DROPPED_LINES.add(lost as u64);
    }
}

/// Prints lines; returns how many could not be: that nobody reads is no reason not to serve.
fn print(out: &mut impl Write, mut lines: &[u8]) -> usize {
    while !lines.is_empty() {
        match out.write(lines) {
            Ok(n) if n > 0 => lines = &lines[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            _ => break,
        }
    }
    let _ = out.flush();
    lines.iter().filter(|&&octet| octet == b'\n').count()
}

/// Lines are whole whatever a panic has interrupted.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &Buffer, line: &[u8]) -> bool {
        buffer.put(|out| out.extend_from_slice(line))
    }

    #[test]
    fn lines_keep_their_order_and_what_is_too_much_is_dropped_whole_and_counted() {
        let buffer = Buffer(Mutex::new(Lines::new()));
        let before = DROPPED_LINES.value();
        assert!(put(&buffer, b"one\n"), "the writer has to be told");
        assert!(!put(&buffer, b"two\n"), "it knows");
        put(&buffer, &[&vec![b'x'; MOST][..], b"\n"].concat());
        assert!(DROPPED_LINES.value() > before);
        put(&buffer, b"three\n");
        let lines = lock(&buffer.0);
        assert_eq!(lines.octets, b"one\ntwo\nthree\n");
        assert_eq!(lines.iter().map(|line| line.1).collect::<Vec<_>>(), [&b"one\n"[..], b"two\n", b"three\n"]);
    }

    fn new_buffer() -> &'static Buffer {
        Box::leak(Box::new(Buffer(Mutex::new(Lines::with_room()))))
    }

    #[test]
    fn what_is_written_is_gone_and_the_next_line_is_a_first_one_again() {
        let buffer = new_buffer();
        let mut outlet = Outlet { workers: vec![buffer], taken: Vec::new(), merged: Vec::new() };
        for line in [b"\n", b"\n"] {
            assert!(put(buffer, line));
            assert!(outlet.write());
        }
        let lines = lock(&buffer.0);
        assert!(lines.octets.is_empty() && lines.ends.is_empty() && lines.octets.capacity() >= ROOM);
    }

    #[test]
    fn lines_of_several_buffers_are_taken_with_their_times() {
        let (a, b) = (new_buffer(), new_buffer());
        let mut outlet = Outlet { workers: vec![a, b], taken: Vec::new(), merged: Vec::new() };
        for (buffer, line) in [(a, b"1\n"), (b, b"2\n"), (a, b"3\n"), (b, b"4\n")] {
            put(buffer, line);
        }
        outlet.take();
        let mut all: Vec<_> = outlet.taken.iter().flat_map(Lines::iter).collect();
        all.sort_by_key(|line| line.0);
        assert_eq!(all.iter().map(|line| line.1).collect::<Vec<_>>(), [b"1\n", b"2\n", b"3\n", b"4\n"]);
        assert!(lock(&a.0).ends.is_empty() && lock(&b.0).ends.is_empty());
    }

    /// Takes so many octets, each in a call of its own, and then no more.
    struct Narrow(usize);

    impl Write for Narrow {
        fn write(&mut self, _lines: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        assert_eq!(print(&mut Narrow(4), b"a\nb\n"), 0);
        assert_eq!(print(&mut Narrow(3), b"a\nb\n"), 1);
        assert_eq!(print(&mut Narrow(0), b"a\nb\n"), 2);
    }
}
