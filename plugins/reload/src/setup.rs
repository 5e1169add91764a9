//! The lines of the directive.

use crate::watch::{self, Interval};
use api::Setup;
use api::corefile::{ConfigError, Cursor};
use api::gotext::GoDuration;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(30);
const JITTER: Duration = Duration::from_secs(15);
const MIN_INTERVAL: Duration = Duration::from_secs(2);
const MIN_JITTER: Duration = Duration::from_secs(1);

/// The interval that was read last, for the whole process; `None` before the first.
#[derive(Default)]
pub struct Chosen(pub Mutex<Option<Interval>>);

/// Starts the work with the first block that has the directive; the last block's interval counts.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.next();
    let interval = parse(&mut c)?;
    let chosen: Arc<Chosen> = setup.shared();
    let before = chosen.0.lock().map_or(None, |mut chosen| chosen.replace(interval));
    if before.is_none() {
        let reload = setup.reload();
        setup.task("watch the Corefile", move |stop| watch::run(chosen, reload, stop));
    }
    Ok(())
}

/// `reload [INTERVAL] [JITTER]`
fn parse(c: &mut Cursor<'_>) -> Result<Interval, ConfigError> {
    let args = c.remaining_args();
    if args.len() > 2 {
        return Err(c.arg_err());
    }
    let duration = |arg: &str| GoDuration::parse(arg).map_err(|words| c.bare(words));
    let mut interval = INTERVAL;
    if let Some(arg) = args.first() {
        let given = duration(arg)?.unsigned().filter(|d| *d >= MIN_INTERVAL);
        interval = given.ok_or_else(|| c.bare("interval value must be greater or equal to 2s"))?;
    }
    let mut jitter = JITTER;
    if let Some(arg) = args.get(1) {
        let given = duration(arg)?.unsigned().filter(|d| d.is_zero() || *d >= MIN_JITTER);
        jitter = given.ok_or_else(|| c.bare("jitter value must be 0 or greater or equal to 1s"))?;
    }
    Ok(Interval { interval, jitter: jitter.min(interval / 2) })
}
