//! Reading the body of a response as it comes: line by line, piece by piece or whole, within bounds.

use crate::connect::causes;
use http_body_util::BodyExt;
use kube::client::Body;
use memchr::memchr;
use std::time::Duration;

/// The lines of a watch as they come.
pub struct Lines {
    body: Body,
    buffer: Vec<u8>,
    /// Octets of the buffer that were returned already.
    taken: usize,
}

/// Why there is no further line.
#[derive(Debug)]
pub enum NoLine {
    /// The stream has ended, in good order.
    End,
    /// The connection broke between two lines.
    Broken(String),
    /// The stream ended, or the connection broke, in the middle of a line.
    Cut(String),
}

impl Lines {
    /// Reads `body`.
    pub fn new(body: Body) -> Self {
        Lines { body, buffer: Vec::new(), taken: 0 }
    }

    /// The next line, without its end.
    pub async fn next(&mut self) -> Result<&[u8], NoLine> {
        let mut searched = self.taken;
        loop {
            if let Some(length) = memchr(b'\n', &self.buffer[searched..]) {
                let line = self.taken..searched + length;
                self.taken = line.end + 1;
                return Ok(&self.buffer[line]);
            }
            self.give_back();
            searched = self.buffer.len();
            let Some(frame) = self.body.frame().await else { return Err(self.end()) };
            let frame = frame.map_err(|e| self.broken(causes(&e)))?;
            let Some(data) = frame.data_ref() else { continue };
            if self.buffer.len() + data.len() > MAX_LINE {
                return Err(NoLine::Cut(format!("a line of over {MAX_LINE} octets")));
            }
            self.buffer.extend_from_slice(data);
        }
    }

    fn end(&self) -> NoLine {
        if self.buffer.is_empty() { NoLine::End } else { NoLine::Cut("the stream ended within a line".into()) }
    }

    fn broken(&self, why: String) -> NoLine {
        if self.buffer.is_empty() { NoLine::Broken(why) } else { NoLine::Cut(why) }
    }

    /// Drops what was returned, and the memory that a long line took.
    fn give_back(&mut self) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
    }
}

/// The next piece of a body, empty where there is none yet; `None` at its end. One that takes longer than `stall` is an error.
pub async fn piece(body: &mut Body, stall: Duration) -> Result<Option<bytes::Bytes>, String> {
    let frame = tokio::time::timeout(stall, body.frame()).await;
    match frame.map_err(|_| format!("nothing came for {} s", stall.as_secs()))? {
        Some(frame) => Ok(Some(frame.map_err(|e| causes(&e))?.into_data().unwrap_or_default())),
        None => Ok(None),
    }
}

/// The whole body, which is a short one.
pub async fn whole(mut body: Body, stall: Duration) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    while let Some(data) = piece(&mut body, stall).await? {
        if all.len() + data.len() > MAX_BODY {
            return Err(format!("a body of over {MAX_BODY} octets"));
        }
        all.extend_from_slice(&data);
    }
    Ok(all)
}

/// Octets of one event. etcd takes objects of up to 1.5 MiB, which JSON may make larger.
const MAX_LINE: usize = 16 << 20;
/// Octets of a body that is read whole.
const MAX_BODY: usize = 1 << 20;
/// Octets of buffer that are kept between lines.
const KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_where_they_end() {
        let mut lines = Lines::new(Body::from(b"one\n\ntwo\ncut".to_vec()));
        for line in [&b"one"[..], b"", b"two"] {
            assert_eq!(lines.next().await.unwrap(), line);
        }
        assert!(matches!(lines.next().await, Err(NoLine::Cut(_))));
        let mut lines = Lines::new(Body::from(b"one\n".to_vec()));
        assert_eq!(lines.next().await.unwrap(), b"one");
        assert!(matches!(lines.next().await, Err(NoLine::End)));
    }

    #[tokio::test]
    async fn a_line_has_a_bound() {
        let mut lines = Lines::new(Body::from(vec![b'x'; MAX_LINE + 1]));
        assert!(matches!(lines.next().await, Err(NoLine::Cut(_))));
        assert!(whole(Body::from(vec![b'x'; MAX_BODY + 1]), Duration::from_secs(1)).await.is_err());
    }
}
