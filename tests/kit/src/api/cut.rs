//! A connection that may be cut after any octet.

use super::Shared;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose server side breaks when [`super::Faults::cut`] says so.
pub(super) struct Cut<S> {
    pub(super) stream: S,
    pub(super) shared: Arc<Shared>,
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cut<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let cut = self.shared.faults().cut;
        if cut == 0 {
            return Pin::new(&mut self.stream).poll_write(cx, octets);
        }
        // The last octet that is left is never sent: the connection ends in front of it.
        let left = usize::try_from(cut - 1).unwrap_or(usize::MAX).min(octets.len());
        if left == 0 {
            self.shared.faults().cut = 0;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let sent = Pin::new(&mut self.stream).poll_write(cx, &octets[..left]);
        if let Poll::Ready(Ok(n)) = sent {
            let mut faults = self.shared.faults();
            faults.cut = faults.cut.saturating_sub(n as u64).max(1);
        }
        sent
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cut<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}
