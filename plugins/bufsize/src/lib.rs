//! The bufsize directive: limits the UDP payload size that clients ask for (RFC 6891).

use api::corefile::{ConfigError, Cursor};
use api::{Plugin, PluginDef, Query, Result, Setup, Step, gotext};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "bufsize", properties: &[], metrics: &[], setup };

/// The size without an argument: fits into any path's packets (DNS Flag Day 2020).
const DEFAULT: u16 = 1232;
const SIZES: std::ops::RangeInclusive<i64> = 512..=4096;

/// Lowers the size in the query, so that it also counts for upstreams and for truncation.
struct BufSize(u16);

impl Plugin for BufSize {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if let Some(edns) = &mut q.edns {
            edns.size = edns.size.min(self.0);
        }
        Ok(Step::Next)
    }
}

/// Reads the first line; further lines are not looked at.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.next();
    let size = parse(&mut c).map_err(|e| e.prefix("plugin/bufsize: "))?;
    setup.add(BufSize(size));
    Ok(())
}

/// `bufsize [SIZE]`
fn parse(c: &mut Cursor<'_>) -> Result<u16, ConfigError> {
    match c.remaining_args()[..] {
        [] => Ok(DEFAULT),
        [arg] => {
            let size = gotext::parse_int(arg).ok().filter(|size| SIZES.contains(size));
            size.and_then(|size| u16::try_from(size).ok()).ok_or_else(|| c.arg_err())
        }
        _ => Err(c.arg_err()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{chain, query};

    #[test]
    fn sizes_are_lowered_and_never_raised() {
        for (question, size) in [("a. A +bufsize=4096", Some(1232)), ("a. A +bufsize=600", Some(600)), ("a. A", None)] {
            let mut q = query(question);
            assert_eq!(chain(BufSize(DEFAULT)).run(&mut q), api::Run::Done);
            assert_eq!(q.edns.map(|e| e.size), size, "{question}");
        }
    }
}
