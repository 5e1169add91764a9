//! The cancel directive: when waiting for an answer makes no sense any more.

use api::corefile::ConfigError;
use api::gotext::{self, GoDuration};
use api::{Plugin, PluginDef, Query, Result, Setup, Step};
use std::time::Duration;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "cancel", properties: &[], metrics: &[], setup };

/// Clients give up after five seconds (resolv.conf(5)): there is no need to go on after that.
const DEFAULT: Duration = Duration::from_millis(5001);

/// Gives queries a deadline; plugins that ask others give up then.
struct Cancel(Duration);

impl Plugin for Cancel {
    fn query(&self, q: &mut Query) -> Result<Step> {
        q.deadline = Some(q.received + self.0);
        Ok(Step::Next)
    }
}

/// Takes the last of all lines.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut after = DEFAULT;
    while c.next() {
        after = match c.remaining_args()[..] {
            [] => DEFAULT,
            [arg] => {
                let invalid = |what: &str| c.bare(format!("{what}: {}", gotext::quote(arg)));
                let parsed = GoDuration::parse(arg).map_err(|_| invalid("invalid duration"))?;
                parsed.unsigned().filter(|d| !d.is_zero()).ok_or_else(|| invalid("invalid negative duration"))?
            }
            _ => return Err(c.arg_err()),
        };
    }
    setup.add(Cancel(after));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{chain, query};

    #[test]
    fn a_query_has_a_deadline() {
        let mut q = query("a.example A");
        assert_eq!(chain(Cancel(DEFAULT)).run(&mut q), api::Run::Done);
        assert_eq!(q.deadline, Some(q.received + DEFAULT));
    }
}
