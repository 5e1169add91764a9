//! A pause of microseconds; the runtime's own timers count in milliseconds.

use super::watch::watch;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the system, for one pause after the other.
pub struct Pause(AsyncFd<Rc<OwnedFd>>);

impl Pause {
    /// A timer that the runtime of this thread watches.
    ///
    /// # Errors
    /// The system has none.
    pub fn new() -> io::Result<Pause> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Pause(watch(Rc::new(timer), Interest::READABLE)?))
    }

    /// Begins a pause.
    ///
    /// # Errors
    /// The timer cannot be set.
    pub fn begin(&self, length: Duration) -> io::Result<()> {
        // The end of the last one is known, and says nothing about this one.
        drop(self.0.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into())));
        let it_value = Timespec::try_from(length).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Waits for its end.
    pub async fn over(&self) {
        drop(self.0.readable().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Clock;

    #[tokio::test]
    async fn each_pause_has_its_length() {
        let (pause, clock) = (Pause::new().expect("a timer"), Clock::system());
        for micros in [500, 1, 1_500] {
            let (length, begun) = (Duration::from_micros(micros), clock.now());
            pause.begin(length).expect("set");
            pause.over().await;
            assert!(clock.now() >= begun + length, "{micros}");
            pause.over().await; // it stays so
        }
    }
}
