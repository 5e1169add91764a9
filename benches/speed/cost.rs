//! What a query costs under as much load as there can be.

use crate::dnsperf;
use crate::median::median;
use crate::report::Figures;
use crate::server::Server;
use crate::stage::Stage;
use crate::subjects::{Kind, Subject};
use crate::works::Work;

/// What was measured of a server.
pub struct Cost {
    /// Answers a second.
    rate: f64,
    /// User and system time a query, in µs.
    user: f64,
    system: f64,
    /// In MB.
    memory: f64,
    lost: f64,
}

impl Cost {
    /// Asks a server for so many seconds, after a second to warm up.
    ///
    /// # Errors
    /// It answers hardly anything, or something else than it should.
    pub fn measure(
        server: &Server,
        subject: &Subject,
        work: &Work,
        stage: &Stage,
        seconds: u64,
    ) -> Result<Cost, String> {
        dnsperf::run(server.address(), &stage.warm(), 1, work.transport)?;
        let before = server.cpu();
        let load = dnsperf::run(server.address(), &stage.measured(), seconds, work.transport)?;
        let after = server.cpu();
        if load.answered < 1.0 {
            return Err("answers nothing".into());
        }
        if subject.kind != Kind::Echo {
            check(load.noerror, stage)?;
        }
        let each = |before: f64, after: f64| (after - before) * 1e6 / load.answered;
        let (user, system) = (each(before.0, after.0), each(before.1, after.1));
        Ok(Cost { rate: load.rate, user, system, memory: server.memory(), lost: load.lost })
    }

    fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// A server that answers quickly but wrongly has no figures.
fn check(noerror: f64, stage: &Stage) -> Result<(), String> {
    let there = stage.questions().iter().filter(|question| question.exists).count();
    let expected = there as f64 / stage.questions().len() as f64;
    if (noerror - expected).abs() < TOLERANCE {
        return Ok(());
    }
    Err(format!("says NOERROR to {:.1} % of the questions in place of {:.1} %", noerror * 1e2, expected * 1e2))
}

/// Questions are asked over and over: the last time perhaps not to the end.
const TOLERANCE: f64 = 0.02;

impl Figures for Cost {
    const HEAD: &str = "queries/s   user µs system µs   CPU µs  of echo   RSS MB     lost";
    const SCORE: &str = "µs of CPU time a query";
    const MARGIN: f64 = 1.0;

    fn of_rounds(rounds: &[Cost]) -> Cost {
        let middle = |figure: fn(&Cost) -> f64| median(rounds.iter().map(figure));
        Cost {
            rate: middle(|c| c.rate),
            user: middle(|c| c.user),
            system: middle(|c| c.system),
            memory: middle(|c| c.memory),
            lost: rounds.iter().map(|c| c.lost).sum(),
        }
    }

    fn line(&self, echo: Option<&Cost>) -> String {
        let share = echo.map_or_else(|| "–".into(), |echo| format!("{:.2}", echo.cpu() / self.cpu()));
        let Cost { rate, user, system, memory, lost } = self;
        format!("{rate:>9.0} {user:>9.2} {system:>9.2} {:>8.2} {share:>8} {memory:>8.1} {lost:>8.0}", self.cpu())
    }

    fn score(&self) -> f64 {
        self.cpu()
    }
}
