//! Values as Go prints them (`%v`).

use super::time;
use super::value::{Failure, Meter, Value};
use crate::gotext;
use std::fmt::Write;

/// A value as a text.
pub fn text(meter: &Meter, value: &Value<'_>) -> Result<String, Failure> {
    let mut out = String::new();
    print(meter, value, &mut out)?;
    Ok(out)
}

fn print(meter: &Meter, value: &Value<'_>, out: &mut String) -> Result<(), Failure> {
    meter.spend(1)?;
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Nil => write!(out, "<nil>"),
        Value::Bool(b) => write!(out, "{b}"),
        Value::Int(n) => write!(out, "{n}"),
        Value::Float(n) => write!(out, "{}", gotext::float(*n)),
        Value::Text(text) => {
            meter.spend(text.len() / 8)?;
            out.push_str(text);
            Ok(())
        }
        Value::List(list) => {
            out.push('[');
            for (i, item) in list.items().iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                print(meter, item, out)?;
            }
            write!(out, "]")
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (i, (key, item)) in map.entries().iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                print(meter, key, out)?;
                out.push(':');
                print(meter, item, out)?;
            }
            write!(out, "]")
        }
        Value::Function(function) => write!(out, "{}", function.signature().name),
        Value::Time(time) => write!(out, "{}", time::text(time)),
        Value::Zone(zone) => write!(out, "{}", time::zone_text(zone)),
        Value::Duration(_) | Value::Month(_) | Value::Weekday(_) => write!(out, "{}", time::name(value)),
    };
    Ok(())
}
