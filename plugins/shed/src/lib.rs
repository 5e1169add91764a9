//! The shed directive: no query over UDP is begun while the replies before it wait for the socket.
//!
//! The transport keeps the replies that the system does not take, up to a limit, and says of each query whether it has reached
//! that ([`Query::backlogged`]); what is dropped there is counted there.

use api::corefile::ConfigError;
use api::gotext::quote;
use api::metrics::Counter;
use api::server::PerSite;
use api::shed::DROPPED;
use api::{Plugin, PluginDef, Query, Result, Setup, Step};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "shed", properties: &[], metrics: &[&DROPPED], setup };

/// What is dropped of which the directive speaks: queries, replies.
const REASONS: [&str; 2] = ["query", "response"];

/// Drops queries whose replies could not be sent.
#[derive(Default)]
struct Shed {
    dropped: PerSite<Counter>,
}

impl Plugin for Shed {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if !q.backlogged {
            return Ok(Step::Next);
        }
        let counter = q.site().and_then(|site| self.dropped.get(site, |s| DROPPED.with(&[REASONS[0], &s.server])));
        if let Some(counter) = counter {
            counter.inc();
        }
        // No reply: the client asks another server.
        q.reply.clear();
        Ok(Step::Done)
    }
}

fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    while c.next_once()? {
        if !c.remaining_args().is_empty() {
            return Err(c.arg_err());
        }
        if c.next_block() {
            return Err(c.err("shed takes no options"));
        }
    }
    for key in setup.keys() {
        let (transport, _) = key.split_once("://").unwrap_or(("dns", key));
        if transport != "dns" {
            let (key, transport) = (quote(key), quote(transport));
            let what = format!("only plain DNS server blocks are supported; {key} uses transport {transport}");
            return Err(c.err(what));
        }
    }
    setup.options().shed = true;
    setup.add(Shed::default());
    show_zeros(setup);
    Ok(())
}

/// Shows what nothing was dropped of yet, so that the first drop is an increase (CoreDNS behaviour).
fn show_zeros(setup: &mut Setup<'_>) {
    let sites = setup.sites();
    setup.task("zeros", move |_stop| async move {
        for site in sites.get().into_iter().flatten() {
            REASONS.iter().for_each(|reason| DROPPED.show(&[reason, &site.server]));
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::test::{chain, query};
    use api::{Outcome, Rcode, Run};

    #[test]
    fn queries_are_dropped_while_replies_wait() {
        let chain = chain(Shed::default());
        for (backlogged, outcome) in [(false, Outcome::Bare(Rcode::REFUSED)), (true, Outcome::Nothing)] {
            let mut q = query("a.example A");
            q.backlogged = backlogged;
            assert_eq!(chain.run(&mut q), Run::Done);
            assert_eq!(q.reply.outcome(), outcome);
        }
    }
}
