//! How long a query takes while there is little to do.

use crate::median::median;
use crate::report::Figures;
use crate::stage::Stage;
use crate::wire;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// What was measured of a server; times in µs.
pub struct Latency {
    /// Questions a second.
    rate: f64,
    median: f64,
    p99: f64,
    p999: f64,
    /// The p99 of the part in which it was least.
    quiet_p99: f64,
    lost: f64,
}

impl Latency {
    /// Asks so many questions a second for so long, whatever becomes of the replies. What is measured of each [`PART`] is put together
    /// as [`Figures::of_rounds`] does.
    ///
    /// # Errors
    /// Those of the socket, and where nothing is answered.
    pub fn measure(server: SocketAddr, stage: &Stage, rate: f64, time: Duration) -> Result<Latency, String> {
        let messages =
            stage.questions().iter().map(|question| wire::question(&question.name, question.rtype)).collect();
        let mut load = Load::new(server, messages).map_err(|e| e.to_string())?;
        let parts = (time.as_secs_f64() / PART.as_secs_f64()).ceil() as usize;
        let parts: Result<Vec<_>, String> = (0..parts).map(|_| Latency::of_part(&mut load, rate)).collect();
        parts.map(|parts| Latency::of_rounds(&parts))
    }

    fn of_part(load: &mut Load, rate: f64) -> Result<Latency, String> {
        load.run(rate, PART).map_err(|e| e.to_string())?;
        load.took.sort_unstable();
        if load.took.is_empty() {
            return Err("answers nothing".into());
        }
        let at = |part: f64| load.took[(load.took.len() as f64 * part) as usize].as_secs_f64() * 1e6;
        let lost = (load.asked - load.took.len()) as f64;
        let rate = load.asked as f64 / PART.as_secs_f64();
        Ok(Latency { rate, median: at(0.5), p99: at(0.99), p999: at(0.999), quiet_p99: at(0.99), lost })
    }
}

/// One thread that never sleeps: what is late is the server.
struct Load {
    socket: UdpSocket,
    messages: Vec<Vec<u8>>,
    /// When the question with this number was sent, until it is answered.
    sent: Vec<Option<Instant>>,
    /// The next question, of all that were ever asked.
    next: usize,
    /// Of the last run: questions that count, and how long those took that are answered.
    asked: usize,
    took: Vec<Duration>,
}

impl Load {
    fn new(server: SocketAddr, messages: Vec<Vec<u8>>) -> io::Result<Load> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        Ok(Load { socket, messages, sent: vec![None; 1 << 16], next: 0, asked: 0, took: Vec::new() })
    }

    fn run(&mut self, rate: f64, time: Duration) -> io::Result<()> {
        self.took.clear();
        self.forget();
        let interval = Duration::from_secs_f64(1.0 / rate);
        let begin = Instant::now();
        let (mut last, mut due) = (begin, begin);
        loop {
            let now = Instant::now();
            if now - last > HELD_UP {
                self.forget();
                due = now;
            }
            last = now;
            let is_over = now - begin >= time;
            if is_over && (self.took.len() == self.asked || now - begin >= time + PATIENCE) {
                return Ok(());
            }
            if !is_over && now >= due {
                self.ask(now)?;
                due += interval;
            }
            self.receive()?;
        }
    }

    /// Leaves out what is in flight: the load was held up itself, and cannot say how long that took.
    fn forget(&mut self) {
        self.sent.fill(None);
        self.asked = self.took.len();
    }

    fn ask(&mut self, now: Instant) -> io::Result<()> {
        let place = self.next % self.messages.len();
        let message = &mut self.messages[place];
        let id = self.next as u16;
        message[..2].copy_from_slice(&id.to_be_bytes());
        self.sent[usize::from(id)] = Some(now);
        self.next += 1;
        self.asked += 1;
        match self.socket.send(message) {
            // It counts as lost.
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut reply = [0; 4096];
        match self.socket.recv(&mut reply) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => (),
            received => {
                received?;
                let id = usize::from(u16::from_be_bytes([reply[0], reply[1]]));
                self.took.extend(self.sent[id].take().map(|sent| sent.elapsed()));
            }
        }
        Ok(())
    }
}

/// A load that has not looked at its socket for so long was held up, by other work of the machine.
const HELD_UP: Duration = Duration::from_millis(1);
/// How long is measured at a time: a machine that is not quiet has quiet moments of this length.
const PART: Duration = Duration::from_millis(250);
/// How long the last questions may take.
const PATIENCE: Duration = Duration::from_secs(1);

impl Figures for Latency {
    const HEAD: &str = "queries/s    p50 µs    p99 µs   p999 µs  quiet p99     lost";
    const SCORE: &str = "µs for 99 of 100 queries in the quietest quarter of a second";
    const MARGIN: f64 = 1.1;

    fn of_rounds(rounds: &[Latency]) -> Latency {
        let middle = |figure: fn(&Latency) -> f64| median(rounds.iter().map(figure));
        Latency {
            rate: middle(|l| l.rate),
            median: middle(|l| l.median),
            p99: middle(|l| l.p99),
            p999: middle(|l| l.p999),
            quiet_p99: rounds.iter().map(|l| l.quiet_p99).fold(f64::INFINITY, f64::min),
            lost: rounds.iter().map(|l| l.lost).sum(),
        }
    }

    fn line(&self, _echo: Option<&Latency>) -> String {
        let Latency { rate, median, p99, p999, quiet_p99, lost } = self;
        format!("{rate:>9.0} {median:>9.1} {p99:>9.1} {p999:>9.1} {quiet_p99:>10.1} {lost:>8.0}")
    }

    fn score(&self) -> f64 {
        self.quiet_p99
    }
}
