//! Go's layouts of time: `2006-01-02 15:04:05` shows what stands where.

use super::{MONTHS, WEEKDAYS};
use jiff::Zoned;
use std::fmt::Write;

/// A time in the form that `layout` shows.
pub fn format(time: &Zoned, layout: &str) -> String {
    let (mut out, mut rest) = (String::new(), layout);
    while !rest.is_empty() {
        let len = match fraction(rest, &out) {
            Some((len, all)) => {
                push_fraction(time, &rest[..len], all, &mut out);
                len
            }
            None => match PARTS.iter().find(|part| rest.starts_with(part.0) && !goes_on(part.0, rest)) {
                Some((word, part)) => {
                    push(time, *part, &mut out);
                    word.len()
                }
                None => {
                    let letter = rest.chars().next().map_or(1, char::len_utf8);
                    out.push_str(&rest[..letter]);
                    letter
                }
            },
        };
        rest = &rest[len..];
    }
    out
}

/// The abbreviation of the zone at this time; of a fixed one its offset.
pub fn zone_name(time: &Zoned) -> String {
    let zone = time.time_zone();
    let named = zone.iana_name().is_some() || zone.to_fixed_offset().is_err() || time.offset().is_zero();
    if named { zone.to_offset_info(time.timestamp()).abbreviation().to_owned() } else { offset(time, "") }
}

/// A part of a layout.
#[derive(Clone, Copy)]
enum Part {
    Year,
    ShortYear,
    Month,
    ShortMonth,
    Weekday,
    ShortWeekday,
    /// A number with so many digits; with blanks in front instead of zeros.
    Number(fn(&Zoned) -> i16, usize),
    Blanks(fn(&Zoned) -> i16, usize),
    Half(&'static str, &'static str),
    Zone,
    /// An offset with this between hours and minutes; `Z` for none where that is wanted.
    Offset(&'static str),
    OffsetOrZ(&'static str),
    OffsetHours,
}

const PARTS: &[(&str, Part)] = &[
    ("January", Part::Month),
    ("Jan", Part::ShortMonth),
    ("Monday", Part::Weekday),
    ("Mon", Part::ShortWeekday),
    ("MST", Part::Zone),
    ("2006", Part::Year),
    ("002", Part::Number(Zoned::day_of_year, 3)),
    ("01", Part::Number(|t| t.month().into(), 2)),
    ("02", Part::Number(|t| t.day().into(), 2)),
    ("03", Part::Number(|t| twelve(t.hour()), 2)),
    ("04", Part::Number(|t| t.minute().into(), 2)),
    ("05", Part::Number(|t| t.second().into(), 2)),
    ("06", Part::ShortYear),
    ("15", Part::Number(|t| t.hour().into(), 2)),
    ("__2", Part::Blanks(Zoned::day_of_year, 3)),
    ("_2", Part::Blanks(|t| t.day().into(), 2)),
    ("1", Part::Number(|t| t.month().into(), 1)),
    ("2", Part::Number(|t| t.day().into(), 1)),
    ("3", Part::Number(|t| twelve(t.hour()), 1)),
    ("4", Part::Number(|t| t.minute().into(), 1)),
    ("5", Part::Number(|t| t.second().into(), 1)),
    ("PM", Part::Half("AM", "PM")),
    ("pm", Part::Half("am", "pm")),
    ("-07:00", Part::Offset(":")),
    ("-0700", Part::Offset("")),
    ("-07", Part::OffsetHours),
    ("Z07:00", Part::OffsetOrZ(":")),
    ("Z0700", Part::OffsetOrZ("")),
];

/// Whether what looks like a part is the beginning of something else.
fn goes_on(part: &str, rest: &str) -> bool {
    let behind = &rest[part.len()..];
    match part {
        "Jan" | "Mon" => behind.starts_with(|c: char| c.is_ascii_lowercase()),
        "_2" => behind.starts_with("006"),
        _ => false,
    }
}

fn twelve(hour: i8) -> i16 {
    i16::from((hour + 11) % 12 + 1)
}

fn push(time: &Zoned, part: Part, out: &mut String) {
    let month = MONTHS[time.month().clamp(1, 12) as usize - 1];
    let weekday = WEEKDAYS[time.weekday().to_sunday_zero_offset().clamp(0, 6) as usize];
    // Writing to a string cannot fail.
    let _ = match part {
        Part::Year => write!(out, "{:04}", time.year()),
        Part::ShortYear => write!(out, "{:02}", time.year().rem_euclid(100)),
        Part::Month => write!(out, "{month}"),
        Part::ShortMonth => write!(out, "{}", &month[..3]),
        Part::Weekday => write!(out, "{weekday}"),
        Part::ShortWeekday => write!(out, "{}", &weekday[..3]),
        Part::Number(of, digits) => write!(out, "{:0digits$}", of(time)),
        Part::Blanks(of, width) => write!(out, "{:width$}", of(time)),
        Part::Half(morning, evening) => write!(out, "{}", if time.hour() < 12 { morning } else { evening }),
        Part::Zone => write!(out, "{}", zone_name(time)),
        Part::OffsetOrZ(_) if time.offset().is_zero() => write!(out, "Z"),
        Part::Offset(colon) | Part::OffsetOrZ(colon) => write!(out, "{}", offset(time, colon)),
        Part::OffsetHours => write!(out, "{}", &offset(time, "")[..3]),
    };
}

fn offset(time: &Zoned, colon: &str) -> String {
    let seconds = time.offset().seconds();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
}

/// The length of a fraction of seconds at the start of `rest`, and whether zeros at its end are shown.
fn fraction(rest: &str, out: &str) -> Option<(usize, bool)> {
    let digits = rest.strip_prefix(['.', ','])?;
    let digit = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == digit).count();
    let more = digits[count..].starts_with(|c: char| c.is_ascii_digit());
    let behind_seconds = out.ends_with(|c: char| c.is_ascii_digit());
    (!more && (digit == '9' || behind_seconds)).then_some((count + 1, digit == '0'))
}

fn push_fraction(time: &Zoned, part: &str, all: bool, out: &mut String) {
    let digits = format!("{:09}", time.subsec_nanosecond());
    let digits = &digits[..(part.len() - 1).min(9)];
    let digits = if all { digits } else { digits.trim_end_matches('0') };
    if !digits.is_empty() {
        out.push_str(&part[..1]);
        out.push_str(digits);
    }
}
