//! The lines of the directive.

use crate::entry::LONGEST_PAUSE;
use crate::keeper::Keeper;
use crate::rules::{Limits, Mode, Prefetch, Rules, Stale};
use crate::store::Store;
use crate::{Cache, DIRECTIVE};
use api::Setup;
use api::corefile::{ConfigError, Cursor, value};
use api::gotext::{self, GoDuration};
use std::sync::Arc;
use std::time::Duration;

const CAPACITY: usize = 9_984;
const MAX_SUCCESS: u32 = 3_600;
const MAX_DENIAL: u32 = 1_800;
const MIN: u32 = 5;
const SERVFAIL: u32 = 5;
/// The longest time between two uses of an entry that count together, and the part of its life that is left, in hundredths, when
/// it is asked for again.
const GAP: Duration = Duration::from_secs(60);
const PERCENTAGE: u8 = 10;
/// How long an entry is answered after it has expired.
const STALE: Duration = Duration::from_secs(60 * 60);
/// The longest time that a failure may be kept (RFC 2308 7.1).
const MAX_SERVFAIL: Duration = Duration::from_secs(5 * 60);

/// Directives whose plugins answer nothing, or only what is not kept.
const KEPT_OF_NONE: [&str; 7] = ["k8s_external", "kubernetes", "loop", "minimal", "transfer", "view", "dnssec"];

/// Adds the plugin. Entries outlive a reload that changes nothing of the directive, and nothing of what makes the answers.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut read = None;
    while c.next_once()? {
        read = Some(parse(setup, &mut c)?);
    }
    let Some(rules) = read else { return Ok(()) };
    let mistake = setup.cursor().bare("nothing below 'cache' has answers that are kept").coded("nothing-to-cache");
    let mistake = mistake.help("answers of 'kubernetes' need no cache: they are always as the cluster is now");
    setup.advise(|around| around.below(DIRECTIVE).all(|name| KEPT_OF_NONE.contains(&name)).then_some(mistake));
    let key = format!("{} {rules:?}\n{}", setup.identity(), setup.below());
    let (success, denial, clock) = (rules.success.capacity, rules.denial.capacity, setup.clock());
    let store = setup.carry(&key, |_| Ok(Store::new(success, denial, clock.now())))?;
    let (keeper, live) = (Arc::new(Keeper::new(rules, store, clock)), setup.offered());
    setup.add(Cache { keeper, live });
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
        prefetch: None,
        stale: None,
    };
    let mut prefer_positive = false;
    while c.next_block() {
        match c.val() {
            "serve_stale_policy" if prefer_positive => {
                return Err(c.bare("serve_stale_policy can only be specified once"));
            }
            "serve_stale_policy" => {
                policy(c)?;
                prefer_positive = true;
            }
            _ => property(c, &mut rules)?,
        }
    }
    match &mut rules.stale {
        Some(stale) => stale.prefer_positive = prefer_positive,
        None if prefer_positive => return Err(c.bare("serve_stale_policy requires serve_stale")),
        None => (),
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
        "prefetch" => {
            rules.prefetch = prefetch(c)?;
            Ok(())
        }
        "serve_stale" => {
            rules.stale = Some(serve_stale(c)?);
            Ok(())
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

/// `prefetch AMOUNT [DURATION] [PERCENTAGE%]`; an amount of 0 is for not at all.
fn prefetch(c: &mut Cursor<'_>) -> Result<Option<Prefetch>, ConfigError> {
    let args = c.remaining_args();
    let Some((amount, more)) = args.split_first().filter(|_| args.len() <= 3) else { return Err(c.arg_err()) };
    let number = |arg: &str| gotext::parse_int(arg).map_err(|words| c.bare(words));
    let amount = number(amount)?;
    if amount < 0 {
        return Err(c.bare(format!("prefetch amount should be positive: {amount}")));
    }
    let (mut gap, mut percentage) = (Some(GAP), PERCENTAGE);
    if let Some(duration) = more.first() {
        gap = GoDuration::parse(duration).map_err(|words| c.bare(words))?.unsigned();
    }
    if let Some(given) = more.get(1) {
        let Some(digits) = given.strip_suffix('%') else {
            let last =
                given.bytes().last().map_or_else(String::new, |last| char::from(last).escape_debug().to_string());
            return Err(c.bare(format!("last character of percentage should be `%`, but is: '{last}'")));
        };
        let number = number(digits)?;
        percentage = u8::try_from(number)
            .ok()
            .filter(|n| (10..=90).contains(n))
            .ok_or_else(|| c.bare(format!("percentage should fall in range [10, 90]: {number}")))?;
    }
    let amount = u32::try_from(amount).unwrap_or(u32::MAX);
    Ok((amount > 0).then_some(Prefetch { amount, gap, percentage }))
}

/// `serve_stale [DURATION] [immediate [RESPONSE_TTL [FAILURE_RECHECK]] | verify [TIMEOUT [RESPONSE_TTL [FAILURE_RECHECK]]]]`
fn serve_stale(c: &mut Cursor<'_>) -> Result<Stale, ConfigError> {
    let args = c.remaining_args();
    if args.len() > 5 {
        return Err(c.arg_err());
    }
    let (mut limit, mut mode) = (STALE, Mode::Immediate);
    if let Some(duration) = args.first() {
        let given = GoDuration::parse(duration).map_err(|words| c.bare(words))?;
        limit = given.unsigned().ok_or_else(|| c.bare("invalid negative duration for serve_stale"))?;
    }
    let mut more = args.get(2..).unwrap_or_default();
    match args.get(1).map(|mode| mode.to_lowercase()).as_deref() {
        None | Some("immediate") if args.len() > 4 => return Err(c.arg_err()),
        None | Some("immediate") => (),
        Some("verify") => {
            let mut timeout = Duration::ZERO;
            if let Some((given, rest)) = more.split_first() {
                let words = ["invalid serve_stale verify timeout", "invalid negative timeout for serve_stale verify"];
                (timeout, more) = (stale_duration(c, given, words)?, rest);
            }
            mode = Mode::Verify(timeout);
        }
        Some(mode) => return Err(c.bare(format!("invalid value for serve_stale refresh mode: {mode}"))),
    }
    let ttl = more.first().map_or(Ok(0), |given| response_ttl(c, given))?;
    let recheck = more.get(1).map_or(Ok(Duration::ZERO), |given| recheck(c, given))?;
    Ok(Stale { limit: limit.as_secs(), mode, ttl, recheck, prefer_positive: false })
}

fn response_ttl(c: &Cursor<'_>, given: &str) -> Result<u32, ConfigError> {
    let words = ["invalid serve_stale response TTL", "invalid negative response TTL for serve_stale"];
    let ttl = stale_duration(c, given, words)?;
    if ttl.subsec_nanos() != 0 {
        return Err(c.bare("serve_stale response TTL must be a whole number of seconds"));
    }
    u32::try_from(ttl.as_secs()).map_err(|_| c.bare("serve_stale response TTL exceeds the DNS TTL range"))
}

fn recheck(c: &Cursor<'_>, given: &str) -> Result<Duration, ConfigError> {
    let words = ["invalid serve_stale failure recheck", "invalid negative failure recheck for serve_stale"];
    let recheck = stale_duration(c, given, words)?;
    if recheck > LONGEST_PAUSE {
        return Err(c.bare("serve_stale failure recheck cannot exceed 5 minutes"));
    }
    Ok(recheck)
}

/// A duration of `serve_stale`; the words are for one that is none, and for a negative one.
fn stale_duration(c: &Cursor<'_>, given: &str, [invalid, negative]: [&str; 2]) -> Result<Duration, ConfigError> {
    let duration = GoDuration::parse(given).map_err(|words| c.bare(format!("{invalid}: {words}")))?;
    duration.unsigned().ok_or_else(|| c.bare(negative))
}

/// `serve_stale_policy prefer_positive`
fn policy(c: &mut Cursor<'_>) -> Result<(), ConfigError> {
    match c.remaining_args()[..] {
        [policy] if policy.to_lowercase() == "prefer_positive" => Ok(()),
        [policy] => Err(c.bare(format!("invalid serve_stale_policy: {policy}"))),
        _ => Err(c.arg_err()),
    }
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
