//! The lines of the directive.

use crate::Cache;
use crate::rules::{Limits, Rules};
use crate::store::Store;
use api::Setup;
use api::corefile::{ConfigError, Cursor, value};
use api::gotext::{self, GoDuration};
use api::server::PerSite;
use std::time::Duration;

const CAPACITY: usize = 9_984;
const MAX_SUCCESS: u32 = 3_600;
const MAX_DENIAL: u32 = 1_800;
const MIN: u32 = 5;
const SERVFAIL: u32 = 5;
/// The longest time that a failure may be kept (RFC 2308 7.1).
const MAX_SERVFAIL: Duration = Duration::from_secs(5 * 60);

/// Adds the plugin. Entries outlive a reload that changes nothing of the directive.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut read = None;
    while c.next_once()? {
        read = Some(parse(setup, &mut c)?);
    }
    let Some(rules) = read else { return Ok(()) };
    let key = format!("{} {rules:?}", setup.identity());
    let (success, denial) = (rules.success.capacity, rules.denial.capacity);
    let store = setup.carry(&key, |_| Ok(Store::new(success, denial)))?;
    let label = rules.zones.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let (live, clock) = (setup.offered(), setup.clock());
    setup.add(Cache { rules, store, live, label, counters: PerSite::default(), clock });
    Ok(())
}

/// `cache [TTL] [ZONES…]`
fn parse(setup: &Setup<'_>, c: &mut Cursor<'_>) -> Result<Rules, ConfigError> {
    let args = c.remaining_args();
    let (mut max_success, mut max_denial) = (MAX_SUCCESS, MAX_DENIAL);
    let mut zones = &args[..];
    if let Some(ttl) = args.first().and_then(|arg| gotext::parse_int(arg).ok()) {
        let given = positive(c, ttl)?;
        (max_success, max_denial) = (given, given);
        zones = &args[1..];
    }
    let mut rules = Rules {
        zones: setup.names_or(zones).into(),
        success: Limits { capacity: CAPACITY, max: max_success, min: MIN },
        denial: Limits { capacity: CAPACITY, max: max_denial, min: MIN },
        servfail: SERVFAIL,
        no_success: [].into(),
        no_denial: [].into(),
        keep_ttl: false,
    };
    while c.next_block() {
        property(c, &mut rules)?;
    }
    Ok(rules)
}

fn property(c: &mut Cursor<'_>, rules: &mut Rules) -> Result<(), ConfigError> {
    match c.val() {
        "success" => limits(c, &mut rules.success),
        "denial" => limits(c, &mut rules.denial),
        "servfail" => {
            rules.servfail = servfail(c)?;
            Ok(())
        }
        "disable" => disable(c, rules),
        "keepttl" => match c.remaining_args()[..] {
            [] => {
                rules.keep_ttl = true;
                Ok(())
            }
            _ => Err(c.arg_err()),
        },
        later @ ("prefetch" | "serve_stale" | "serve_stale_policy") => {
            Err(c.err(format!("property '{later}' is not supported yet")))
        }
        _ => Err(c.arg_err()),
    }
}

/// `success|denial CAPACITY [TTL] [MINTTL]`
fn limits(c: &mut Cursor<'_>, limits: &mut Limits) -> Result<(), ConfigError> {
    let args = c.remaining_args();
    let number = |arg: &str| gotext::parse_int(arg).map_err(|words| c.bare(words));
    let Some(capacity) = args.first() else { return Err(c.arg_err()) };
    limits.capacity = usize::try_from(number(capacity)?).unwrap_or(0);
    if let Some(max) = args.get(1) {
        limits.max = positive(c, number(max)?)?;
    }
    if let Some(min) = args.get(2) {
        let given = number(min)?;
        if given < 0 {
            return Err(c.bare(format!("cache min TTL can not be negative: {given}")));
        }
        limits.min = u32::try_from(given).unwrap_or(u32::MAX);
    }
    Ok(())
}

/// A TTL over zero.
fn positive(c: &Cursor<'_>, ttl: i64) -> Result<u32, ConfigError> {
    if ttl <= 0 {
        return Err(c.bare(format!("cache TTL can not be zero or negative: {ttl}")));
    }
    Ok(u32::try_from(ttl).unwrap_or(u32::MAX))
}

fn servfail(c: &mut Cursor<'_>) -> Result<u32, ConfigError> {
    let [arg] = c.remaining_args()[..] else { return Err(c.arg_err()) };
    let given = GoDuration::parse(arg).map_err(|words| c.bare(words))?;
    let given = given.unsigned().ok_or_else(|| c.bare("invalid negative ttl for servfail"))?;
    if given > MAX_SERVFAIL {
        return Err(c.bare("caching SERVFAIL responses over 5 minutes is not permitted"));
    }
    Ok(given.as_secs() as u32)
}

/// `disable success|denial [ZONES…]`
fn disable(c: &mut Cursor<'_>, rules: &mut Rules) -> Result<(), ConfigError> {
    let args = c.remaining_args();
    let Some((kind, zones)) = args.split_first() else { return Err(c.arg_err()) };
    let zones = if zones.is_empty() { rules.zones.clone() } else { value::names(zones).into() };
    match *kind {
        "success" => rules.no_success = zones,
        "denial" => rules.no_denial = zones,
        _ => return Err(c.bare("cache type for disable must be \"success\" or \"denial\"")),
    }
    Ok(())
}
