//! Numbers and durations as Corefiles have them: in Go's syntax, refused in the words of Go's library, for which users search.

use std::fmt;
use std::time::Duration;

/// A signed duration in Go's syntax: `1h30m`, `1.5s`, `-5ms`, `0`. Shown as Go shows it: `1h30m0s`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct GoDuration {
    nanos: i64,
}

/// Units with their nanoseconds; the micro sign and the letter mu both are understood.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", MICRO),
    ("\u{b5}s", MICRO),
    ("\u{3bc}s", MICRO),
    ("ms", MILLI),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];
const MICRO: u64 = 1000;
const MILLI: u64 = 1000 * MICRO;
const SECOND: u64 = 1000 * MILLI;

impl GoDuration {
    /// Reads Go's syntax (`time.ParseDuration`).
    ///
    /// # Errors
    /// In Go's words: `time: missing unit in duration "10"`, for example. Over some 292 years is invalid too.
    pub fn parse(text: &str) -> Result<GoDuration, String> {
        let invalid = || format!("time: invalid duration {}", octets_quoted(text));
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if unsigned == "0" {
            return Ok(GoDuration { nanos: 0 });
        }
        if unsigned.is_empty() {
            return Err(invalid());
        }
        let (mut rest, mut nanos) = (unsigned, 0u64);
        while !rest.is_empty() {
            let (part, behind) = part(rest, text)?;
            nanos = nanos.checked_add(part).filter(|&n| n <= 1 << 63).ok_or_else(invalid)?;
            rest = behind;
        }
        let nanos = match text.starts_with('-') {
            true => Some((nanos as i64).wrapping_neg()),
            false => i64::try_from(nanos).ok(),
        };
        Ok(GoDuration { nanos: nanos.ok_or_else(invalid)? })
    }

    /// So many seconds.
    pub fn from_secs(seconds: i64) -> GoDuration {
        GoDuration { nanos: seconds.saturating_mul(SECOND as i64) }
    }

    /// So many nanoseconds.
    pub fn from_nanos(nanos: i64) -> GoDuration {
        GoDuration { nanos }
    }

    /// So many nanoseconds.
    pub fn nanos(self) -> i64 {
        self.nanos
    }

    /// The duration, if it is not negative.
    pub fn unsigned(self) -> Option<Duration> {
        u64::try_from(self.nanos).ok().map(Duration::from_nanos)
    }
}

/// One number with its unit at the start of `rest`, in nanoseconds, and what follows; `text` is the whole, for errors.
fn part<'a>(rest: &'a str, text: &str) -> Result<(u64, &'a str), String> {
    let invalid = || format!("time: invalid duration {}", octets_quoted(text));
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, behind) = rest.split_at(digits(rest));
    let (fraction, behind) = match behind.strip_prefix('.') {
        Some(fraction) => fraction.split_at(digits(fraction)),
        None => ("", behind),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let whole = if whole.is_empty() { 0 } else { read_digits(whole, 1 << 63).map_err(|_| invalid())? };
    let end = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
    let (unit, behind) = behind.split_at(end);
    if unit.is_empty() {
        return Err(format!("time: missing unit in duration {}", octets_quoted(text)));
    }
    let Some((_, scale)) = UNITS.iter().find(|u| u.0 == unit) else {
        return Err(format!("time: unknown unit {} in duration {}", octets_quoted(unit), octets_quoted(text)));
    };
    let nanos = whole.checked_mul(*scale).filter(|&n| n <= 1 << 63).ok_or_else(invalid)?;
    Ok((nanos + fraction_of(fraction, *scale), behind))
}

/// The digits behind a point, times `scale`, cut to a whole number.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let mut unit = scale as f64;
    let mut value = 0.0;
    for digit in digits.bytes().take(18) {
        unit /= 10.0;
        value += f64::from(digit - b'0') * unit;
    }
    (value + 1e-6) as u64
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos.unsigned_abs();
        f.write_str(if self.nanos < 0 { "-" } else { "" })?;
        match nanos {
            0 => f.write_str("0s"),
            n if n < MICRO => write!(f, "{n}ns"),
            n if n < MILLI => write_point(f, n, MICRO, "\u{b5}s"),
            n if n < SECOND => write_point(f, n, MILLI, "ms"),
            n => {
                let minutes = n / (60 * SECOND);
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write_point(f, n % (60 * SECOND), SECOND, "s")
            }
        }
    }
}

/// Writes `nanos` in a unit of `scale` nanoseconds, without zeros at the end of the fraction.
fn write_point(f: &mut fmt::Formatter<'_>, nanos: u64, scale: u64, unit: &str) -> fmt::Result {
    let digits = scale.ilog10() as usize;
    let fraction = format!("{:0digits$}", nanos % scale);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    write!(f, "{}{point}{fraction}{unit}", nanos / scale)
}

/// A number with a fraction as Go prints it (`%v`): with the fewest digits that tell it from all others, and with an exponent
/// below 1e-4 and from 1e6 on.
pub fn float(n: f64) -> String {
    if n.is_nan() {
        return "NaN".into();
    }
    if n.is_infinite() {
        return if n < 0.0 { "-Inf" } else { "+Inf" }.into();
    }
    if n == 0.0 || (1e-4..1e6).contains(&n.abs()) {
        return n.to_string();
    }
    let text = format!("{n:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Reads a decimal integer (`strconv.Atoi`): a sign and leading zeros may be there, nothing else.
///
/// # Errors
/// In Go's words: `strconv.Atoi: parsing "x": invalid syntax`, or `value out of range`.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let (negative, digits) = (text.starts_with('-'), text.strip_prefix(['-', '+']).unwrap_or(text));
    let limit = i64::MAX as u64 + u64::from(negative);
    let number = read_digits(digits, u64::MAX).and_then(|n| if n <= limit { Ok(n) } else { Err(OUT_OF_RANGE) });
    let fault = |why| format!("strconv.Atoi: parsing {}: {why}", quote(text));
    number.map(|n| if negative { (n as i64).wrapping_neg() } else { n as i64 }).map_err(fault)
}

/// Reads an unsigned decimal integer up to `max` (`strconv.ParseUint`): digits only.
///
/// # Errors
/// In Go's words: `strconv.ParseUint: parsing "x": invalid syntax`, or `value out of range`.
pub fn parse_uint(text: &str, max: u64) -> Result<u64, String> {
    read_digits(text, max).map_err(|why| format!("strconv.ParseUint: parsing {}: {why}", quote(text)))
}

/// Reads a boolean (`strconv.ParseBool`).
///
/// # Errors
/// In Go's words: `strconv.ParseBool: parsing "x": invalid syntax`.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: {INVALID_SYNTAX}", quote(text))),
    }
}

const INVALID_SYNTAX: &str = "invalid syntax";
const OUT_OF_RANGE: &str = "value out of range";

/// Reads digits from left to right; the first one that is none, or too many, decides what is wrong.
fn read_digits(text: &str, max: u64) -> Result<u64, &'static str> {
    let digit = |b: u8| b.is_ascii_digit().then(|| u64::from(b - b'0')).ok_or(INVALID_SYNTAX);
    let append = |n: u64, b| {
        let digit = digit(b)?;
        n.checked_mul(10).and_then(|n| n.checked_add(digit)).filter(|&n| n <= max).ok_or(OUT_OF_RANGE)
    };
    if text.is_empty() { Err(INVALID_SYNTAX) } else { text.bytes().try_fold(0, append) }
}

/// A text in double quotes as Go's package for time prints it: all but printable ASCII as octets.
fn octets_quoted(text: &str) -> String {
    let octet = |b: u8| match b {
        b'"' | b'\\' => format!("\\{}", char::from(b)),
        b' '..=0x7f => char::from(b).to_string(),
        _ => format!("\\x{b:02x}"),
    };
    format!("\"{}\"", text.bytes().map(octet).collect::<String>())
}

/// A text in double quotes as Go's `%q` prints it.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        for (n, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (-100_000.0, "-100000"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1e100, "-1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float(n), text);
        }
    }

    #[test]
    fn durations() {
        for (text, nanos, shown) in [
            ("0", 0, "0s"),
            ("-0", 0, "0s"),
            ("0s", 0, "0s"),
            ("1h30m", 5400 * SECOND as i64, "1h30m0s"),
            ("24h1s", 86_401 * SECOND as i64, "24h0m1s"),
            ("90s", 90 * SECOND as i64, "1m30s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            (".5s", 500_000_000, "500ms"),
            ("1.s", 1_000_000_000, "1s"),
            ("-10s", -10_000_000_000, "-10s"),
            ("+5ms", 5_000_000, "5ms"),
            ("2\u{b5}s", 2000, "2\u{b5}s"),
            ("2us3ns", 2003, "2.003\u{b5}s"),
            ("0.3333333333333333333h", 1_199_999_999_999, "19m59.999999999s"),
            ("9223372036854775807ns", i64::MAX, "2562047h47m16.854775807s"),
            ("-9223372036854775808ns", i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            let duration = GoDuration::parse(text).unwrap();
            assert_eq!((duration.nanos, duration.to_string().as_str()), (nanos, shown), "{text}");
        }
        assert_eq!(GoDuration::from_secs(86_401).to_string(), "24h0m1s");
        assert_eq!(GoDuration::parse("1ms").unwrap().unsigned(), Some(Duration::from_millis(1)));
        assert_eq!(GoDuration::parse("-1ns").unwrap().unsigned(), None);
    }

    #[test]
    fn what_is_no_duration() {
        for (text, why) in [
            ("", "time: invalid duration \"\""),
            ("x", "time: invalid duration \"x\""),
            ("-", "time: invalid duration \"-\""),
            (".s", "time: invalid duration \".s\""),
            ("10", "time: missing unit in duration \"10\""),
            ("1h2", "time: missing unit in duration \"1h2\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("10S", "time: unknown unit \"S\" in duration \"10S\""),
            ("\u{b5}\n", "time: invalid duration \"\\xc2\\xb5\\x0a\""),
            ("9999999h", "time: invalid duration \"9999999h\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
            ("99999999999999999999", "time: invalid duration \"99999999999999999999\""),
        ] {
            assert_eq!(GoDuration::parse(text), Err(why.into()), "{text}");
        }
    }

    #[test]
    fn integers() {
        for (text, n) in [
            ("0", 0),
            ("007", 7),
            ("+5", 5),
            ("-5", -5),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_int(text), Ok(n), "{text}");
        }
        for text in ["", "+", "x", "1.5", "0x10", "1_000", " 1"] {
            assert_eq!(parse_int(text), Err(format!("strconv.Atoi: parsing {text:?}: invalid syntax")), "{text}");
        }
        for text in ["99999999999999999999", "-9223372036854775809", "99999999999999999999x"] {
            assert_eq!(parse_int(text), Err(format!("strconv.Atoi: parsing {text:?}: value out of range")), "{text}");
        }
    }

    #[test]
    fn unsigned_integers_and_booleans() {
        assert_eq!(parse_uint("007", 255), Ok(7));
        assert_eq!(parse_uint("256", 255), Err("strconv.ParseUint: parsing \"256\": value out of range".to_owned()));
        assert_eq!(parse_uint("+5", 255), Err("strconv.ParseUint: parsing \"+5\": invalid syntax".to_owned()));
        assert_eq!(parse_bool("T"), Ok(true));
        assert_eq!(parse_bool("yes"), Err("strconv.ParseBool: parsing \"yes\": invalid syntax".to_owned()));
    }
}
