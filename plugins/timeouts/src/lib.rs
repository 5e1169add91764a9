//! The timeouts directive: how long connections may take, and how many queries they may carry.

use api::corefile::{ConfigError, Cursor};
use api::gotext::{self, GoDuration};
use api::setup::Timeouts;
use api::{PluginDef, Setup};
use std::time::Duration;

/// The directive. It adds no plugin: the server's connections know what to do.
pub static PLUGIN: PluginDef = PluginDef { name: "timeouts", properties: PROPERTIES, metrics: &[], setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["read", "write", "idle", "maxtcpqueries"];

/// The longest time-out.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    while c.next() {
        if !c.remaining_args().is_empty() {
            return Err(c.arg_err().prefix("plugin/timeouts: "));
        }
        let mut properties = 0;
        while c.next_block() {
            property(&mut c, &mut setup.options().timeouts)?;
            properties += 1;
        }
        if properties == 0 {
            return Err(c.err("timeouts block with no timeouts specified").prefix("plugin/timeouts: "));
        }
    }
    Ok(())
}

fn property(c: &mut Cursor<'_>, timeouts: &mut Timeouts) -> Result<(), ConfigError> {
    let name = c.val();
    let [value] = c.remaining_args()[..] else { return Err(c.arg_err()) };
    if name == "maxtcpqueries" {
        timeouts.max_queries = Some(queries(c, value)?);
        return Ok(());
    }
    let given = Some(duration(c, value)?);
    match name {
        "read" => timeouts.read = given,
        "write" => timeouts.write = given,
        "idle" => timeouts.idle = given,
        other => return Err(c.err(format!("unknown option: '{other}'"))),
    }
    Ok(())
}

/// A duration; a bare number is one of seconds.
fn duration(c: &Cursor<'_>, value: &str) -> Result<Duration, ConfigError> {
    let parsed = match gotext::parse_int(value) {
        Ok(seconds) => GoDuration::from_secs(seconds),
        Err(_) => GoDuration::parse(value).map_err(|_| c.err(format!("failed to parse duration '{value}'")))?,
    };
    let allowed = parsed.unsigned().filter(|d| (Duration::from_secs(1)..=MAX).contains(d));
    allowed.ok_or_else(|| c.err(format!("timeout provided '{parsed}' needs to be between 1 second and 24 hours")))
}

/// How many queries a connection may carry; -1 for any number.
fn queries(c: &Cursor<'_>, value: &str) -> Result<u64, ConfigError> {
    let number = gotext::parse_int(value)
        .map_err(|words| c.err(format!("invalid value for maxtcpqueries '{value}': {words}")))?;
    match number {
        -1 => Ok(u64::MAX),
        1.. => Ok(number.unsigned_abs()),
        _ => Err(c.err(format!("maxtcpqueries provided '{number}' needs to be -1 (unlimited) or a positive integer"))),
    }
}
