//! What works and surely surprises: warnings of `poddns check`.

use super::Stanza;
use crate::target::Target;
use api::corefile::value::split_host_port;
use api::corefile::{ConfigError, Cursor, Transport};
use api::setup::Around;
use api::{Name, Setup, Site};
use std::net::{IpAddr, SocketAddr};

/// Gives advice about each stanza; `lines` are cursors on the directive's name in each.
pub fn add(setup: &mut Setup<'_>, lines: &[Cursor<'_>], stanzas: &[Stanza]) {
    for (i, (line, stanza)) in lines.iter().zip(stanzas).enumerate() {
        let mut from = line.clone();
        from.next_arg();
        unreached(setup, &from, &stanza.from);
        if let Some(above) = stanzas[..i].iter().find(|above| above.hides(&stanza.from)) {
            let words = format!("the stanza for {} above answers all queries for {}", above.from, stanza.from);
            let mistake =
                from.bare(words).coded("shadowed").help("stanzas are asked in their order: put this one first");
            setup.advise(|_| Some(mistake));
        }
        let mut to = from;
        let words: Vec<&str> = to.clone().remaining_args();
        while to.next_arg() && to.val() != "{" {
            loops(setup, &to, &named(to.val(), &words, stanza), &stanza.from);
        }
    }
}

impl Stanza {
    /// Whether no query for `name` comes to the stanzas behind this one.
    fn hides(&self, name: &Name) -> bool {
        let covers = |zone: &Name| name.as_ref().is_below(zone.as_ref());
        covers(&self.from) && !self.except.iter().any(|e| covers(e) || e.as_ref().is_below(name.as_ref())) && {
            self.next.is_empty() && !self.next_on_nodata
        }
    }
}

/// Warns of a zone of which no query comes to the server block.
fn unreached(setup: &mut Setup<'_>, at: &Cursor<'_>, from: &Name) {
    let mistake = at.bare(format!("no query for {from} comes to this server block")).coded("shadowed");
    let mistake = mistake.help("another block serves it, or none does: forward it there");
    let from = from.clone();
    setup.advise(move |around| (!around.sees(&from)).then_some(mistake));
}

/// The addresses that one of the `words` of TO stands for: a file for those that no other word names.
fn named(word: &str, words: &[&str], stanza: &Stanza) -> Vec<SocketAddr> {
    let of_word = |word: &str, target: &Target| {
        let text = Transport::split(word).1;
        [text.to_owned(), format!("{text}:53"), format!("[{text}]:53")].contains(&target.label)
    };
    let meant = |target: &&Target| match is_file(word) {
        true => !words.iter().any(|word| of_word(word, target)),
        false => of_word(word, target),
    };
    let plain = stanza.targets.iter().filter(|target| target.transport == Transport::Dns);
    plain.filter(meant).filter_map(|target| target.address.clone().ok()).collect()
}

fn is_file(word: &str) -> bool {
    Transport::split(word).1.contains('/')
}

/// Warns of an upstream that is the server itself, and of a list of name servers that may hold it where nobody finds that out.
fn loops(setup: &mut Setup<'_>, to: &Cursor<'_>, addresses: &[SocketAddr], from: &Name) {
    let itself = |address: SocketAddr| {
        let words = format!("{address} is where this server block listens: queries for {from} come back to it");
        to.bare(words).coded("forward-loop").help("name an upstream that is another server")
    };
    let itself: Vec<(SocketAddr, ConfigError)> = addresses.iter().map(|a| (*a, itself(*a))).collect();
    let words = format!("the name servers in {} may lead back to this server, which nothing finds out", to.val());
    let unseen = to.bare(words).coded("no-loop").help("add 'loop' to the server block");
    let file = is_file(to.val());
    setup.advise(move |around| {
        let own = itself.into_iter().find(|(address, _)| around.sites.iter().any(|site| listens(site, *address)));
        let unseen = || (file && !has_loop(around)).then_some(unseen);
        own.map(|(_, mistake)| mistake).or_else(unseen)
    });
}

fn has_loop(around: &Around<'_>) -> bool {
    around.links.iter().any(|link| link.name == "loop")
}

/// Whether all queries that are sent to `address` come in at `site`.
fn listens(site: &Site, address: SocketAddr) -> bool {
    let place = site.server.strip_prefix("dns://").and_then(|place| split_host_port(place).ok());
    let Some((host, port)) = place.filter(|_| site.view.is_empty()) else { return false };
    let everywhere = host.is_empty() || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let ip = address.ip();
    let at_host = if everywhere { is_local(ip) } else { host.parse() == Ok(ip) };
    at_host && port.parse() == Ok(address.port())
}

/// Whether an address is one of this machine.
fn is_local(ip: IpAddr) -> bool {
    let has = || if_addrs::get_if_addrs().is_ok_and(|all| all.iter().any(|interface| interface.ip() == ip));
    ip.is_loopback() || ip.is_unspecified() || has()
}
