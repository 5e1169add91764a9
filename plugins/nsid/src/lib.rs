//! The nsid directive: the server's name in replies to clients that ask for it (RFC 5001).

use api::corefile::ConfigError;
use api::wire::{EdnsOption, edns_options};
use api::{Edns, Plugin, PluginDef, Query, ReplyOpt, Result, Setup, Step, Ways};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "nsid", properties: &[], metrics: &[], setup };

/// Code of the EDNS option (RFC 5001 2.3).
const NSID: u16 = 3;

/// Puts its octets into the OPT of replies.
struct Nsid(Box<[u8]>);

impl Plugin for Nsid {
    fn ways(&self) -> Ways {
        Ways::Up
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        if let Some(edns) = q.edns
            && q.reply.is_message()
            && edns_options(&q.edns_options).any(|option| option.code == NSID)
        {
            let opt = self.opt(edns, q.reply.opt());
            q.reply.set_opt(Some(opt));
        }
        Ok(Step::Done)
    }
}

impl Nsid {
    /// The reply's OPT with our name in it, in the place of one that was there.
    fn opt(&self, edns: Edns, there: Option<&ReplyOpt>) -> ReplyOpt {
        let mut opt = ReplyOpt { size: edns.size, dnssec_ok: true, options: Vec::new() };
        let mut replaced = false;
        if let Some(there) = there {
            (opt.size, opt.dnssec_ok) = (there.size, there.dnssec_ok);
            for EdnsOption { code, data, .. } in edns_options(&there.options) {
                let data = if code == NSID { &self.0 } else { data };
                replaced |= code == NSID;
                push(&mut opt.options, code, data);
            }
        }
        if !replaced {
            push(&mut opt.options, NSID, &self.0);
        }
        opt
    }
}

/// Appends an option.
fn push(options: &mut Vec<u8>, code: u16, data: &[u8]) {
    options.extend_from_slice(&code.to_be_bytes());
    options.extend_from_slice(&(data.len() as u16).to_be_bytes());
    options.extend_from_slice(data);
}

/// `nsid [DATA…]`: the words with a blank between them; the host's name without any.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut name = host_name();
    while c.next_once()? {
        let words = c.remaining_args();
        if !words.is_empty() {
            name = words.join(" ");
        }
    }
    // An option has room for no more.
    name.truncate(name.floor_char_boundary(usize::from(u16::MAX)));
    setup.add(Nsid(name.into_bytes().into()));
    Ok(())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_str().map_or_else(|_| "localhost".into(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Rcode;
    use api::test::{query, text};
    use api::{Chain, Link, Panics, Run};

    /// Answers, with an OPT of its own where the name says so.
    struct Answer;

    impl Plugin for Answer {
        fn query(&self, q: &mut Query) -> Result<Step> {
            let own = q.name().to_string() == "opt.";
            q.respond_authoritative(Rcode::NOERROR);
            let options = vec![0, 15, 0, 2, 0, 1, 0, 3, 0, 0];
            q.reply.set_opt(own.then_some(ReplyOpt { size: 4096, dnssec_ok: false, options }));
            Ok(Step::Done)
        }
    }

    #[test]
    fn only_who_asks_is_told() {
        let links = vec![
            Link { name: "nsid", plugin: Box::new(Nsid(b"me".as_slice().into())) },
            Link { name: "answer", plugin: Box::new(Answer) },
        ];
        let chain = Chain::new(links, Panics::End);
        for (question, opt) in [
            ("a. A +opt=3:", "\nopt 1232 do 000300026d65"),
            ("a. A +opt=10:0102030405060708", ""),
            ("opt. A +opt=3:", "\nopt 4096 000f00020001000300026d65"),
        ] {
            let mut q = query(question);
            assert_eq!(chain.run(&mut q), Run::Done);
            assert_eq!(text(&q), format!("NOERROR aa rd{opt}"), "{question}");
        }
    }
}
