//! What the task of a stream connection does: writes what has gathered for it, and takes what comes apart into messages.

use crate::line::{End, Line};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// Octets of the frame in front of a message (RFC 1035 4.2.2).
pub const FRAME: usize = 2;
/// Octets that are kept of an idle connection's buffers.
pub const KEPT: usize = 4096;
/// Octets that are read at once.
const CHUNK: usize = 64 * 1024;

/// How long it may take to tell the upstream that the connection is closed.
const GOODBYE: Duration = Duration::from_secs(1);

thread_local! {
    static IN: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Serves an open connection. Returns why it has ended; `None` where it has nothing more to do.
pub async fn drive<S: AsyncRead + AsyncWrite + Unpin>(line: &Line, stream: S) -> Option<End> {
    let mut driver = Driver { line, stream, unwritten: Vec::new(), written: 0, received: Vec::new() };
    let end = poll_fn(|cx| driver.turn(cx)).await;
    if end.is_none() {
        let _ = timeout(GOODBYE, driver.stream.shutdown()).await; // it is of no use any more, whatever comes of it
    }
    end
}

struct Driver<'a, S> {
    line: &'a Line,
    stream: S,
    /// What is being written, and how much of it has been.
    unwritten: Vec<u8>,
    written: usize,
    /// The beginning of a message.
    received: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<'_, S> {
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if !self.line.take_unwritten(&mut self.unwritten, cx) {
            return Poll::Ready(None);
        }
        // Read first: what the upstream said before it closed counts, even where nothing can be written any more.
        if let Poll::Ready(end) = self.read(cx) {
            return Poll::Ready(Some(end));
        }
        if let Poll::Ready(Err(e)) = self.write(cx) {
            return Poll::Ready(Some(self.line.broken("write", &e)));
        }
        Poll::Pending
    }

    /// Writes; ready where all is written, or nothing can be any more.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let rest = &self.unwritten[self.written..];
            if rest.is_empty() {
                (self.written, _) = (0, self.unwritten.clear());
                self.line.take_unwritten(&mut self.unwritten, cx); // what came while there was no room
                continue;
            }
            match std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                n => self.written += n,
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Reads, until there is nothing more for now; ready where there will be nothing any more.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let read = IN.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
                self.received.extend_from_slice(buffer.filled());
                Poll::Ready(read.map(|()| buffer.filled().len()))
            });
            match std::task::ready!(read) {
                Ok(0) => return Poll::Ready(self.end_of_file()),
                Ok(_) => self.deliver(),
                Err(e) => return Poll::Ready(self.line.broken("read", &e)),
            }
        }
    }

    /// Hands whole messages to who waits for them.
    fn deliver(&mut self) {
        let mut rest = &self.received[..];
        while let Some((message, behind)) = first_message(rest) {
            self.line.deliver(message);
            rest = behind;
        }
        let taken = self.received.len() - rest.len();
        self.received.drain(..taken);
        if self.received.is_empty() {
            self.received.shrink_to(KEPT);
        }
    }

    /// The upstream has closed the connection: between messages, or (Go's words) within one.
    fn end_of_file(&self) -> End {
        let within = !matches!(self.received.len(), 0 | FRAME);
        End::of_file(within)
    }
}

/// The first whole message of what was received, and what follows it.
fn first_message(received: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = received.split_first_chunk::<FRAME>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
