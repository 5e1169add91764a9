//! Reading the body of a response: line by line, or whole, within bounds.

use crate::connect::causes;
use http_body_util::BodyExt;
use kube::client::Body;

/// The lines of a watch as they come.
pub struct Lines {
    body: Body,
    buffer: Vec<u8>,
    /// Octets of the buffer that were returned already.
    taken: usize,
}

impl Lines {
    /// Reads `body`.
    pub fn new(body: Body) -> Self {
        Lines { body, buffer: Vec::new(), taken: 0 }
    }

    /// The next line, without its end; `None` when the stream has ended. What stands after the last line end is not
    /// returned: it was cut off.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, String> {
        let mut searched = self.taken;
        loop {
            if let Some(length) = self.buffer[searched..].iter().position(|&b| b == b'\n') {
                let line = self.taken..searched + length;
                self.taken = line.end + 1;
                return Ok(Some(&self.buffer[line]));
            }
            self.give_back();
            searched = self.buffer.len();
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|e| causes(&e))?;
            let Some(data) = frame.data_ref() else { continue };
            if self.buffer.len() + data.len() > MAX_LINE {
                return Err(format!("a line of over {MAX_LINE} octets"));
            }
            self.buffer.extend_from_slice(data);
        }
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

/// The whole body.
pub async fn whole(mut body: Body) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| causes(&e))?;
        let Some(data) = frame.data_ref() else { continue };
        if all.len() + data.len() > MAX_BODY {
            return Err(format!("a body of over {MAX_BODY} octets"));
        }
        all.extend_from_slice(data);
    }
    Ok(all)
}

/// Octets of one event. etcd takes objects of up to 1.5 MiB, which JSON may make larger.
const MAX_LINE: usize = 16 << 20;
/// Octets of one page of a list.
const MAX_BODY: usize = 128 << 20;
/// Octets of buffer that are kept between lines.
const KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_where_they_end() {
        let mut lines = Lines::new(Body::from(b"one\n\ntwo\ncut".to_vec()));
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push(line.to_vec());
        }
        assert_eq!(read, [&b"one"[..], b"", b"two"]);
    }

    #[tokio::test]
    async fn a_line_has_a_bound() {
        let mut lines = Lines::new(Body::from(vec![b'x'; MAX_LINE + 1]));
        assert!(lines.next().await.is_err());
    }
}
