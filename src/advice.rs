//! What works and surprises in a configuration as a whole; `poddns check` says it.

use crate::block::{Draft, State};
use api::corefile::ConfigError;
use api::setup::Around;
use api::{Name, Site};

/// What the directives of all blocks have to say of what surrounds them. The sites of the blocks are known.
pub fn all(drafts: &mut [Draft]) -> Vec<ConfigError> {
    let mut found = Vec::new();
    for i in 0..drafts.len() {
        let advice = std::mem::take(&mut drafts[i].advice);
        if drafts[i].state != State::Sound {
            continue;
        }
        let reaches = |name: &Name| reaches(drafts, i, name);
        let around =
            Around { links: drafts[i].built.chain.links().collect(), sites: sites(&drafts[i]), reaches: &reaches };
        found.extend(advice.into_iter().filter_map(|advice| advice(&around)));
    }
    found
}

/// Whether a query for `name` comes to block `own` on one of its listeners: where no block that always answers has a zone that
/// is closer to the name.
fn reaches(drafts: &[Draft], own: usize, name: &Name) -> bool {
    let always = |(i, draft): &(usize, &Draft)| *i != own && draft.built.filters.is_empty();
    let others = || drafts.iter().enumerate().filter(always).flat_map(|(_, draft)| sites(draft));
    sites(&drafts[own]).iter().filter_map(|site| Some((site, below(name, site)?))).any(|(site, depth)| {
        others().filter(|other| other.server == site.server).filter_map(|o| below(name, o)).all(|other| other >= depth)
    })
}

/// How many octets of `name` stand in front of the zone of `site`; `None` where it is not below it.
fn below(name: &Name, site: &Site) -> Option<usize> {
    let zone = Name::from_text(&site.zone).ok()?;
    name.as_ref().below(zone.as_ref())
}

fn sites(draft: &Draft) -> &[Site] {
    draft.sites.get().map_or(&[], Vec::as_slice)
}
