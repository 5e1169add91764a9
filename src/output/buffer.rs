//! Lines on their way to standard output.
//!
//! A worker puts its lines into a buffer of its own, which one thread, the writer, empties. So an answer never waits for whoever
//! reads the log; lines of one worker stay in their order, and those of a worker that panics or hangs are not lost with it.
//! Other threads write by themselves, after what workers have said before.

use api::metrics::{Counter, CounterFamily};
use std::io::{self, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::Duration;

/// Octets of one buffer's lines that wait at most; more are dropped and counted.
const MOST: usize = 4 * 1024 * 1024;
/// Octets that a worker's buffer always has room for.
const ROOM: usize = 256 * 1024;
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
struct Buffer(Mutex<Vec<u8>>);

thread_local! {
    /// The buffer of this thread, where it is a worker.
    static MINE: std::cell::Cell<Option<&'static Buffer>> = const { std::cell::Cell::new(None) };
}

/// Who holds it writes; so nobody writes lines before others that came earlier.
static OUTLET: Mutex<Outlet> = Mutex::new(Outlet { workers: Vec::new(), space: Vec::new() });
/// The lines of all threads that are no workers.
static OTHERS: Buffer = Buffer(Mutex::new(Vec::new()));
static WRITER: OnceLock<Thread> = OnceLock::new();

/// What it takes to write the lines of all.
struct Outlet {
    workers: Vec<&'static Buffer>,
    /// Takes the place of lines that are written.
    space: Vec<u8>,
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
    let buffer = Box::leak(Box::new(Buffer(Mutex::new(Vec::with_capacity(ROOM)))));
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

impl Buffer {
    /// Appends a line, if there is room; returns whether it is the first, so that the writer has to be told.
    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut waiting = lock(&self.0);
        let before = waiting.len();
        write(&mut waiting);
        if waiting.len() > MOST {
            waiting.truncate(before);
            DROPPED_LINES.inc();
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
        let mut wrote = false;
        self.space.reserve(ROOM);
        for worker in &self.workers {
            std::mem::swap(&mut *lock(&worker.0), &mut self.space);
            wrote |= put_out(&self.space);
            self.space.clear();
            self.space.shrink_to(ROOM);
        }
        let others = std::mem::take(&mut *lock(&OTHERS.0));
        put_out(&others) || wrote
    }
}

/// Writes lines; returns whether there were any.
fn put_out(lines: &[u8]) -> bool {
    if lines.is_empty() {
        return false;
    }
    let lost = print(&mut io::stdout().lock(), lines);
    if lost > 0 {
        DROPPED_LINES.add(lost as u64);
    }
    true
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
        let buffer = Buffer(Mutex::default());
        let before = DROPPED_LINES.value();
        assert!(put(&buffer, b"one\n"), "the writer has to be told");
        assert!(!put(&buffer, b"two\n"), "it knows");
        put(&buffer, &[&vec![b'x'; MOST][..], b"\n"].concat());
        assert!(DROPPED_LINES.value() > before);
        put(&buffer, b"three\n");
        assert_eq!(&**lock(&buffer.0), b"one\ntwo\nthree\n");
    }

    #[test]
    fn what_is_written_is_gone_and_the_next_line_is_a_first_one_again() {
        let buffer: &Buffer = Box::leak(Box::new(Buffer(Mutex::default())));
        let mut outlet = Outlet { workers: vec![buffer], space: Vec::new() };
        for line in [b"\n", b"\n"] {
            assert!(put(buffer, line));
            assert!(outlet.write());
        }
        assert!(lock(&buffer.0).capacity() >= ROOM);
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
