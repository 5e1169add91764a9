//! The server asks itself: what takes long here, takes long for the kubelet too.

use crate::{DURATION, FAILURES};
use api::task::Stop;
use api::{Clock, Result};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// From one request to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A request that takes longer is worth a warning.
const SLOW: Duration = Duration::from_secs(1);

/// Asks for the page at `address` once a second until `stop`.
pub async fn run(address: String, clock: Clock, mut stop: Stop) -> Result {
    let (failures, duration) = (FAILURES.with(&[]), DURATION.with(&[]));
    let url = format!("http://{address}/health");
    while stop.or(tokio::time::sleep(INTERVAL)).await.is_some() {
        let begun = clock.now();
        let Some(answer) = stop.or(tokio::time::timeout(TIMEOUT, ask(&address))).await else { break };
        let took = clock.now() - begun;
        match answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => duration.observe(took),
            Err(e) => {
                failures.inc();
                tracing::warn!("Local health request to \"{url}\" failed: {}", api::os_words(&e));
            }
        }
        if took > SLOW {
            tracing::warn!("Local health request to \"{url}\" took more than 1s: {took:?}");
        }
    }
    Ok(())
}

/// One request; the reply is read to its end.
async fn ask(address: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET /health HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut reply = Vec::new();
    stream.take(4096).read_to_end(&mut reply).await?;
    let ok = reply.starts_with(b"HTTP/1.") && reply.get(9..12) == Some(b"200");
    ok.then_some(()).ok_or_else(|| io::Error::other("the reply is not 200"))
}
