//! The methods of times, as Go has them.

use super::{Made, add_date, at_nanos, between, layout, nanos, point, text};
use crate::expr::types::Type;
use crate::expr::value::{Failure, Meter, Value};
use jiff::Zoned;
use jiff::tz::TimeZone;

/// How a method is called, and what it does.
pub struct Method {
    of: Type,
    name: &'static str,
    /// What it takes.
    pub parameters: &'static [Type],
    /// What it returns.
    pub result: Type,
    run: Run,
}

/// What a method does.
enum Run {
    /// A number of a time.
    Number(fn(&Zoned) -> i64),
    /// Something of a time and another one.
    With(fn(&Zoned, &Zoned) -> Value<'static>),
    /// Something of a time.
    Time(for<'a> fn(&Zoned, &[Value<'a>]) -> Made<'a>),
    /// Something of a span, a month or a day of the week.
    Other(for<'a> fn(&Value<'a>, &[Value<'a>]) -> Made<'a>),
}

/// Methods that Go has, too.
const NOT_YET: &[&str] = &["ISOWeek", "Date", "Clock", "Location", "Zone", "ZoneBounds", "IsDST", "GoString"];

/// Whether Go's type has a method that is refused where it stands: left out, or not called.
pub fn is_left_out(of: &Type, name: &str) -> bool {
    method(of, name).is_some() || *of == Type::Time && NOT_YET.contains(&name)
}

/// The method of a type.
pub fn method(of: &Type, name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|m| m.of == *of && m.name == name)
}

/// Calls a method.
pub fn call<'a>(meter: &Meter, of: &Value<'a>, name: &str, arguments: &[Value<'a>]) -> Made<'a> {
    meter.spend(10)?;
    let kind = match of {
        Value::Time(_) => Type::Time,
        Value::Duration(_) => Type::Duration,
        Value::Month(_) => Type::Month,
        Value::Weekday(_) => Type::Weekday,
        Value::Zone(_) => Type::Zone,
        _ => Type::Unknown,
    };
    let found = method(&kind, name).filter(|m| m.parameters.len() == arguments.len());
    let found = found.ok_or_else(|| Failure::new(format!("{} has no method {name} that is called thus", of.kind())))?;
    match (&found.run, of, arguments) {
        (Run::Number(run), Value::Time(time), _) => Ok(Value::Int(run(time))),
        (Run::With(run), Value::Time(time), [Value::Time(other)]) => Ok(run(time, other)),
        (Run::Time(run), Value::Time(time), arguments) => {
            meter.spend(arguments.iter().filter_map(|a| a.text().ok()).map(str::len).sum())?;
            run(time, arguments)
        }
        (Run::Other(run), of, arguments) => run(of, arguments),
        _ => Err(Failure::new(format!("wrong argument of {name}"))),
    }
}

const fn number(name: &'static str, run: fn(&Zoned) -> i64) -> Method {
    Method { of: Type::Time, name, parameters: &[], result: Type::Int, run: Run::Number(run) }
}

const fn with(name: &'static str, result: Type, run: fn(&Zoned, &Zoned) -> Value<'static>) -> Method {
    Method { of: Type::Time, name, parameters: &[Type::Time], result, run: Run::With(run) }
}

const fn time(
    name: &'static str,
    parameters: &'static [Type],
    result: Type,
    run: for<'a> fn(&Zoned, &[Value<'a>]) -> Made<'a>,
) -> Method {
    Method { of: Type::Time, name, parameters, result, run: Run::Time(run) }
}

const fn other(
    of: Type,
    name: &'static str,
    parameters: &'static [Type],
    result: Type,
    run: for<'a> fn(&Value<'a>, &[Value<'a>]) -> Made<'a>,
) -> Method {
    Method { of, name, parameters, result, run: Run::Other(run) }
}

const SPAN: &[Type] = &[Type::Duration];

static METHODS: &[Method] = &[
    number("Year", |t| t.year().into()),
    number("Day", |t| t.day().into()),
    number("Hour", |t| t.hour().into()),
    number("Minute", |t| t.minute().into()),
    number("Second", |t| t.second().into()),
    number("Nanosecond", |t| t.subsec_nanosecond().into()),
    number("YearDay", |t| t.day_of_year().into()),
    number("Unix", |t| nanos(t).div_euclid(1_000_000_000) as i64),
    number("UnixMilli", |t| nanos(t).div_euclid(1_000_000) as i64),
    number("UnixMicro", |t| nanos(t).div_euclid(1_000) as i64),
    number("UnixNano", |t| nanos(t) as i64),
    with("Before", Type::Bool, |t, other| Value::Bool(t.timestamp() < other.timestamp())),
    with("After", Type::Bool, |t, other| Value::Bool(t.timestamp() > other.timestamp())),
    with("Equal", Type::Bool, |t, other| Value::Bool(t.timestamp() == other.timestamp())),
    with("Compare", Type::Int, |t, other| Value::Int(t.timestamp().cmp(&other.timestamp()) as i64)),
    with("Sub", Type::Duration, between),
    time("Month", &[], Type::Month, |t, _| Ok(Value::Month(t.month()))),
    time("Weekday", &[], Type::Weekday, |t, _| Ok(Value::Weekday(t.weekday().to_sunday_zero_offset()))),
    time("IsZero", &[], Type::Bool, |t, _| Ok(Value::Bool(nanos(t) == -ZERO))),
    time("UTC", &[], Type::Time, |t, _| Ok(point(t.with_time_zone(TimeZone::UTC)))),
    time("Local", &[], Type::Time, |t, _| Ok(point(t.with_time_zone(TimeZone::system())))),
    time("In", &[Type::Zone], Type::Time, |t, arguments| match arguments {
        [Value::Zone(zone)] => Ok(point(t.with_time_zone((**zone).clone()))),
        _ => Err(Failure::new("that is no time zone")),
    }),
    time("Add", SPAN, Type::Time, |t, arguments| at_nanos(nanos(t) + i128::from(span(arguments)?), t.time_zone())),
    time("AddDate", &[Type::Int, Type::Int, Type::Int], Type::Time, |t, arguments| match arguments {
        [Value::Int(years), Value::Int(months), Value::Int(days)] => add_date(t, *years, *months, *days),
        _ => Err(Failure::new("that is no number")),
    }),
    time("Truncate", SPAN, Type::Time, |t, arguments| {
        at_nanos(cut(nanos(t) + ZERO, span(arguments)?.into()) - ZERO, t.time_zone())
    }),
    time("Round", SPAN, Type::Time, |t, arguments| {
        at_nanos(round(nanos(t) + ZERO, span(arguments)?.into()) - ZERO, t.time_zone())
    }),
    time("String", &[], Type::Text, |t, _| Ok(Value::owned(&text(t)))),
    time("Format", &[Type::Text], Type::Text, |t, arguments| {
        Ok(Value::owned(&layout::format(t, arguments.first().map_or(Ok(""), Value::text)?)))
    }),
    other(Type::Duration, "Hours", &[], Type::Float, |d, _| units(d, 3600e9)),
    other(Type::Duration, "Minutes", &[], Type::Float, |d, _| units(d, 60e9)),
    other(Type::Duration, "Seconds", &[], Type::Float, |d, _| units(d, 1e9)),
    other(Type::Duration, "Milliseconds", &[], Type::Int, |d, _| Ok(Value::Int(d.int()? / 1_000_000))),
    other(Type::Duration, "Microseconds", &[], Type::Int, |d, _| Ok(Value::Int(d.int()? / 1_000))),
    other(Type::Duration, "Nanoseconds", &[], Type::Int, |d, _| Ok(Value::Int(d.int()?))),
    other(Type::Duration, "Abs", &[], Type::Duration, |d, _| Ok(Value::Duration(d.int()?.saturating_abs()))),
    other(Type::Duration, "Truncate", SPAN, Type::Duration, |d, arguments| {
        let (of, unit) = (d.int()?, span(arguments)?);
        Ok(Value::Duration(if unit > 0 { of - of % unit } else { of }))
    }),
    other(Type::Duration, "Round", SPAN, Type::Duration, |d, arguments| {
        let (of, unit) = (i128::from(d.int()?), i128::from(span(arguments)?));
        let rounded = if of < 0 { -round(-of, unit) } else { round(of, unit) };
        Ok(Value::Duration(rounded.clamp(i64::MIN.into(), i64::MAX.into()) as i64))
    }),
    other(Type::Duration, "String", &[], Type::Text, |d, _| shown(d)),
    other(Type::Month, "String", &[], Type::Text, |m, _| shown(m)),
    other(Type::Weekday, "String", &[], Type::Text, |d, _| shown(d)),
    other(Type::Zone, "String", &[], Type::Text, |z, _| shown(z)),
];

/// Nanoseconds from Go's zero time, 0001-01-01 UTC, to 1970.
const ZERO: i128 = 62_135_596_800 * 1_000_000_000;

fn shown<'a>(value: &Value<'a>) -> Made<'a> {
    Ok(Value::owned(&value.shown()?))
}

fn units<'a>(span: &Value<'a>, unit: f64) -> Made<'a> {
    Ok(Value::Float(span.int()? as f64 / unit))
}

fn span(arguments: &[Value<'_>]) -> Result<i64, Failure> {
    match arguments {
        [Value::Duration(span)] => Ok(*span),
        _ => Err(Failure::new("that is no duration")),
    }
}

/// Down to a multiple of `unit`, if that is positive.
fn cut(of: i128, unit: i128) -> i128 {
    if unit > 0 { of - of.rem_euclid(unit) } else { of }
}

/// To the nearest multiple of `unit`, halves up, if that is positive.
fn round(of: i128, unit: i128) -> i128 {
    if unit > 0 && of.rem_euclid(unit) * 2 >= unit { cut(of, unit) + unit } else { cut(of, unit) }
}
