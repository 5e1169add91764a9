//! Points and spans of time: functions that make them, arithmetic, and how Go prints them.

mod layout;
mod methods;

pub use methods::{call, is_left_out, method};

use super::value::{Failure, Meter, Value};
use crate::gotext::GoDuration;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, Zoned};
use std::fmt::Write;
use std::rc::Rc;

type Made<'a> = Result<Value<'a>, Failure>;

const OUT_OF_RANGE: &str = "a time is out of range";

/// A point of time in a zone.
fn point<'a>(time: Zoned) -> Value<'a> {
    Value::Time(Rc::new(time))
}

fn at_nanos<'a>(nanos: i128, zone: &TimeZone) -> Made<'a> {
    let stamp = Timestamp::from_nanosecond(nanos).map_err(|_| Failure::new(OUT_OF_RANGE))?;
    Ok(point(stamp.to_zoned(zone.clone())))
}

fn nanos(time: &Zoned) -> i128 {
    time.timestamp().as_nanosecond()
}

/// `now()`, `now(zone)`: the zone is that of the server where none is given.
pub fn now<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let zone = match arguments {
        [Value::Zone(zone)] => (**zone).clone(),
        _ => TimeZone::system(),
    };
    at_nanos(meter.unix().as_nanos().try_into().unwrap_or(i128::MAX), &zone)
}

/// `duration('1h30m')`
pub fn duration<'a>(_: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    let text = arguments.first().map_or(Ok(""), Value::text)?;
    GoDuration::parse(text).map(|d| Value::Duration(d.nanos())).map_err(Failure::Words)
}

/// `timezone('Europe/Berlin')`
pub fn timezone<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    meter.spend(100)?;
    let name = arguments.first().map_or(Ok(""), Value::text)?;
    let zone = match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        "Local" => Ok(TimeZone::system()),
        name => TimeZone::get(name),
    };
    let zone = zone.map_err(|_| Failure::new(format!("unknown time zone {name}")))?;
    Ok(Value::Zone(Rc::new(zone)))
}

/// `date('2024-02-29')`, `date(zone, '2024-02-29 10:11:12')`
pub fn date<'a>(meter: &Meter, arguments: &[Value<'a>]) -> Made<'a> {
    meter.spend(100)?;
    let (zone, rest) = match arguments {
        [Value::Zone(zone), rest @ ..] => ((**zone).clone(), rest),
        rest => (TimeZone::UTC, rest),
    };
    let text = rest.first().map_or(Ok(""), Value::text)?;
    let invalid = || Failure::new(format!("invalid date {text}"));
    let found = civil(text).map(|local| local.to_zoned(zone)).or_else(|| rfc3339(text).map(Ok));
    found.ok_or_else(invalid)?.map(point).map_err(|_| invalid())
}

/// `2024-02-29`, `10:11:12`, or both with a blank between.
fn civil(text: &str) -> Option<DateTime> {
    match text.len() {
        10 => Date::strptime("%Y-%m-%d", text).ok().map(|date| date.to_datetime(Time::midnight())),
        8 => Time::strptime("%H:%M:%S", text).ok().map(|time| jiff::civil::date(0, 1, 1).to_datetime(time)),
        19 => DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok(),
        _ => None,
    }
}

/// `2024-02-29T10:11:12+02:00`, also with a fraction.
fn rfc3339(text: &str) -> Option<Zoned> {
    let (local, zone) = match text.strip_suffix('Z') {
        Some(local) => (local, TimeZone::UTC),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let seconds = (hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?) * 60;
            let seconds = match &offset[..1] {
                "+" => seconds,
                "-" => -seconds,
                _ => return None,
            };
            (local, TimeZone::fixed(Offset::from_seconds(seconds).ok()?))
        }
    };
    DateTime::strptime("%Y-%m-%dT%H:%M:%S%.f", local).ok()?.to_zoned(zone).ok()
}

/// `x + y`, where one is a time or a span; `None` where none is.
pub fn add<'a>(l: &Value<'a>, r: &Value<'a>) -> Option<Made<'a>> {
    Some(match (l, r) {
        (Value::Time(time), Value::Duration(span)) | (Value::Duration(span), Value::Time(time)) => {
            at_nanos(nanos(time) + i128::from(*span), time.time_zone())
        }
        (Value::Duration(l), Value::Duration(r)) => Ok(Value::Duration(l.wrapping_add(*r))),
        _ => return None,
    })
}

/// `x - y`, likewise.
pub fn subtract<'a>(l: &Value<'a>, r: &Value<'a>) -> Option<Made<'a>> {
    Some(match (l, r) {
        (Value::Time(l), Value::Time(r)) => Ok(between(l, r)),
        (Value::Time(time), Value::Duration(span)) => at_nanos(nanos(time) - i128::from(*span), time.time_zone()),
        (Value::Duration(l), Value::Duration(r)) => Ok(Value::Duration(l.wrapping_sub(*r))),
        _ => return None,
    })
}

/// `x * y`, likewise; with a fraction the result is a number (as in the Go library).
pub fn multiply<'a>(l: &Value<'a>, r: &Value<'a>) -> Option<Made<'a>> {
    Some(Ok(match (l, r) {
        (Value::Duration(span), Value::Int(n) | Value::Duration(n)) | (Value::Int(n), Value::Duration(span)) => {
            Value::Duration(span.wrapping_mul(*n))
        }
        (Value::Duration(span), Value::Float(n)) | (Value::Float(n), Value::Duration(span)) => {
            Value::Float(*span as f64 * n)
        }
        _ => return None,
    }))
}

/// The span from `r` to `l`, at most some 292 years.
fn between<'a>(l: &Zoned, r: &Zoned) -> Value<'a> {
    let span = nanos(l) - nanos(r);
    Value::Duration(i64::try_from(span).unwrap_or(if span < 0 { i64::MIN } else { i64::MAX }))
}

/// Years, months and days later; days beyond the end of a month are those of the next one (Go's `AddDate`).
fn add_date<'a>(time: &Zoned, years: i64, months: i64, days: i64) -> Made<'a> {
    let months = months.saturating_add(i64::from(time.month()) - 1);
    let years = years.saturating_add(months.div_euclid(12)).saturating_add(time.year().into());
    let month = i8::try_from(months.rem_euclid(12) + 1);
    let first = i16::try_from(years).ok().zip(month.ok()).and_then(|(year, month)| Date::new(year, month, 1).ok());
    let days = days.checked_add(i64::from(time.day()) - 1).and_then(|days| Span::new().try_days(days).ok());
    let date = first.zip(days).and_then(|(first, days)| first.checked_add(days).ok());
    let date = date.ok_or_else(|| Failure::new(OUT_OF_RANGE))?;
    let moved = date.to_datetime(time.time()).to_zoned(time.time_zone().clone());
    moved.map(point).map_err(|_| Failure::new(OUT_OF_RANGE))
}

/// As Go prints it: `2024-02-29 10:11:12 +0100 CET`.
pub fn text(time: &Zoned) -> String {
    let mut text = layout::format(time, "2006-01-02 15:04:05.999999999 -0700 ");
    let _ = write!(text, "{}", layout::zone_name(time));
    text
}

/// The name of a zone.
pub fn zone_text(zone: &TimeZone) -> String {
    zone.iana_name().map_or_else(|| if *zone == TimeZone::UTC { "UTC" } else { "Local" }.to_owned(), str::to_owned)
}

/// A span, a month or a day of the week.
pub fn name(value: &Value<'_>) -> String {
    let of = |names: &[&'static str], place: i8| {
        usize::try_from(place).ok().and_then(|i| names.get(i).copied()).unwrap_or("")
    };
    match value {
        Value::Duration(span) => GoDuration::from_nanos(*span).to_string(),
        Value::Month(month) => of(&MONTHS, *month - 1).to_owned(),
        Value::Weekday(day) => of(&WEEKDAYS, *day).to_owned(),
        _ => String::new(),
    }
}

/// Months, from January on.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Days of the week, from Sunday on.
pub const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
