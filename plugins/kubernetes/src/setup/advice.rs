//! What works and surely surprises: warnings of `poddns check`.

use api::corefile::{Cursor, value};
use api::{Fallthrough, Name, Setup};

/// Gives advice about the zones of the directive, on whose name the cursor stands.
pub fn add(setup: &mut Setup<'_>, directive: &Cursor<'_>, fallthrough: &Fallthrough) {
    let mut c = directive.clone();
    while c.next_arg() && c.val() != "{" {
        for zone in value::names(&[c.val()]) {
            unreached(setup, &c, zone.clone());
            ends_here(setup, &c, zone, fallthrough);
        }
    }
}

/// Warns of a zone of which no query comes to the server block.
fn unreached(setup: &mut Setup<'_>, at: &Cursor<'_>, zone: Name) {
    let mistake = at.bare(format!("no query for {zone} comes to this server block")).coded("shadowed");
    let mistake = mistake.help("name it among the addresses of the block; what another block serves goes there");
    setup.advise(move |around| {
        // It answers by what this directive knows, whatever its zones.
        let needed = around.links.iter().any(|link| link.name == "k8s_external");
        (!needed && !around.sees(&zone)).then_some(mistake)
    });
}

/// Warns where all other reverse names are said not to exist, though somebody below could be asked.
fn ends_here(setup: &mut Setup<'_>, at: &Cursor<'_>, zone: Name, fallthrough: &Fallthrough) {
    let is_tree = TREES.contains(&zone.to_string().as_str());
    if !is_tree || fallthrough.covers(zone.as_ref()) {
        return;
    }
    let words =
        format!("all names in {zone} that are not the cluster's do not exist, and 'forward' is not asked for them");
    let mistake = at
        .bare(words)
        .coded("no-fallthrough")
        .help(format!("add 'fallthrough {}'", zone.to_string().trim_end_matches('.')));
    setup.advise(move |around| {
        let asks = around.sees(&zone) && around.below("kubernetes").any(|name| name == "forward");
        asks.then_some(mistake)
    });
}

/// All reverse names of a family.
const TREES: [&str; 2] = ["in-addr.arpa.", "ip6.arpa."];
