//! The table of one kind of load, and the bar: ahead of all peers in it.

use crate::OURS;
use crate::subjects::{Kind, Subject};
use crate::works::Work;

/// What is measured of a server.
pub trait Figures: Sized {
    /// The names of the columns.
    const HEAD: &str;
    /// What [`Figures::score`] is.
    const SCORE: &str;
    /// How many times a peer's score ours may be.
    const MARGIN: f64;

    /// All rounds in one.
    fn of_rounds(rounds: &[Self]) -> Self;

    /// The columns, beside those of the echo.
    fn line(&self, echo: Option<&Self>) -> String;

    /// What servers are compared by; less is better.
    fn score(&self) -> f64;
}

/// A server of a table.
pub struct Row<'a, F> {
    subject: &'a Subject,
    rounds: Vec<F>,
    /// Why it cannot be measured.
    failure: Option<String>,
}

impl<'a, F: Figures> Row<'a, F> {
    /// Before the first round.
    pub fn new(subject: &'a Subject) -> Row<'a, F> {
        Row { subject, rounds: Vec::new(), failure: None }
    }

    /// Measures once more, unless that has failed before.
    pub fn round(&mut self, measure: impl FnOnce(&Subject) -> Result<F, String>) {
        if self.failure.is_none() {
            match measure(self.subject) {
                Ok(figures) => self.rounds.push(figures),
                Err(why) => self.failure = Some(why),
            }
        }
    }

    fn figures(&self) -> Result<F, &str> {
        match &self.failure {
            Some(why) => Err(why),
            None => Ok(F::of_rounds(&self.rounds)),
        }
    }
}

/// Prints the table; whom this server is not ahead of.
pub fn show<F: Figures>(work: &Work, rows: &[Row<'_, F>]) -> Vec<String> {
    println!("\n{}: {}", work.name, work.title);
    println!("{:<10} {}", "server", F::HEAD);
    let all: Vec<(&Subject, Result<F, &str>)> = rows.iter().map(|row| (row.subject, row.figures())).collect();
    let echo =
        all.iter().find(|(subject, _)| subject.kind == Kind::Echo).and_then(|(_, figures)| figures.as_ref().ok());
    for (subject, figures) in &all {
        let line = figures.as_ref().map_or_else(|why| (*why).to_owned(), |figures| figures.line(echo));
        println!("{:<10} {line}", subject.name);
    }
    judge(work, &all)
}

fn judge<F: Figures>(work: &Work, all: &[(&Subject, Result<F, &str>)]) -> Vec<String> {
    let ours = match all.iter().find(|(subject, _)| subject.name == OURS) {
        Some((_, Ok(figures))) => figures.score(),
        Some((_, Err(why))) => return vec![format!("{}: {OURS} {why}", work.name)],
        None => return Vec::new(),
    };
    let peers = all.iter().filter(|(subject, _)| subject.kind != Kind::Echo && subject.name != OURS);
    let scores = peers.filter_map(|(subject, figures)| Some((&subject.name, figures.as_ref().ok()?.score())));
    let ahead = scores.filter(|(_, score)| ours >= score * F::MARGIN);
    ahead
        .map(|(name, score)| {
            format!("{}: {OURS} is not ahead of {name}: {ours:.2} and {score:.2} {}", work.name, F::SCORE)
        })
        .collect()
}
