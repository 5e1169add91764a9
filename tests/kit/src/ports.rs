//! Ports for servers that are started by a test.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

/// A port of 127.0.0.1 that is free for UDP and TCP and stays ours, among test processes, until this is dropped.
///
/// It is outside the range that the system hands out by itself, and a lock file in the temporary folder keeps other test
/// processes away: servers that set SO_REUSEPORT would share a port without a word.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Finds one.
    ///
    /// # Panics
    /// No port is free.
    pub fn free() -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        let range = RANGE.end - RANGE.start;
        (0..u32::from(range))
            .map(|i| RANGE.start + ((start.wrapping_add(i * STRIDE)) % u32::from(range)) as u16)
            .find_map(Self::take)
            .expect("a free port")
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    fn take(number: u16) -> Option<Self> {
        let lock = File::create(std::env::temp_dir().join(format!("play-port-{number}.lock"))).ok()?;
        lock.try_lock().ok()?;
        let address = (Ipv4Addr::LOCALHOST, number);
        let free = TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok();
        free.then_some(Self { number, _lock: lock })
    }
}

/// Below the ephemeral ports of Linux (32768 and up).
const RANGE: std::ops::Range<u16> = 12_000..32_000;
/// Has no divisor in common with the size of the range, so that every port is visited.
const STRIDE: u32 = 7_919;

#[cfg(test)]
mod tests {
    use super::Port;

    #[test]
    fn ports_are_taken_once() {
        let ports: Vec<Port> = (0..50).map(|_| Port::free()).collect();
        let numbers: std::collections::HashSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 50);
    }
}
