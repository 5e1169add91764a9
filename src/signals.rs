//! Signals of the operating system.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// SIGTERM: stop, letting clients finish.
    Terminate,
    /// SIGINT: stop after the lame duck; a second one ends the process at once.
    Interrupt,
    /// SIGQUIT: end at once.
    Quit,
    /// SIGUSR1: read the configuration again.
    Reload,
    /// SIGUSR2: start a successor, then stop.
    Succeed,
}

/// The signals that are listened to. SIGHUP is ignored.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    reload: Signal,
    succeed: Signal,
    ignored: Signal,
    /// One that was heard of while there was no time for it.
    put_off: Option<Order>,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            reload: signal(SignalKind::user_defined1())?,
            succeed: signal(SignalKind::user_defined2())?,
            ignored: signal(SignalKind::hangup())?,
            put_off: None,
        })
    }

    /// The next signal that asks for something.
    pub async fn next(&mut self) -> Order {
        if let Some(order) = self.put_off.take() {
            return order;
        }
        loop {
            return tokio::select! {
                _ = self.terminate.recv() => Order::Terminate,
                _ = self.interrupt.recv() => Order::Interrupt,
                _ = self.quit.recv() => Order::Quit,
                _ = self.reload.recv() => Order::Reload,
                _ = self.succeed.recv() => Order::Succeed,
                _ = self.ignored.recv() => continue,
            };
        }
    }

    /// Does `work`, unless the process is told to end before; that order is then the next. Other orders wait.
    pub async fn unless_ended<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let ending = async {
            tokio::select! {
                _ = self.terminate.recv() => Order::Terminate,
                _ = self.interrupt.recv() => Order::Interrupt,
                _ = self.quit.recv() => Order::Quit,
            }
        };
        tokio::select! {
            done = work => Some(done),
            order = ending => {
                self.put_off = Some(order);
                None
            }
        }
    }
}
