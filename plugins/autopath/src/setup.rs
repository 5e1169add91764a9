//! The lines of the directive.

use crate::{Autopath, Paths};
use api::corefile::{ConfigError, Cursor};
use api::gotext::quote;
use api::server::PerSite;
use api::services::SearchPath;
use api::setup::Offered;
use api::{Link, Name, Setup, os_words, resolvconf};
use std::fs::File;
use std::sync::Arc;

/// Adds the plugin, and looks whether the one that it asks is there.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let offered = setup.offered::<Arc<dyn SearchPath>>();
    let (mut zones, mut plugin, mut file) = (Vec::new(), None, Vec::new());
    // Of zones, plugins and files each the last one counts; a plugin that is there counts more than a file.
    while c.next() {
        let args = c.remaining_args();
        let (path, given) = args.split_last().ok_or_else(|| c.bare("no resolv-conf specified"))?;
        match path.strip_prefix('@') {
            Some(name) => plugin = Some(name.to_owned()),
            None => {
                setup.depends_on_file(path);
                file = read(&c, path)?;
            }
        }
        zones = setup.names_or(given);
    }
    if let Some(name) = plugin.clone() {
        let mistake = c.bare(format!("{name} does not implement the AutoPather interface"));
        let offered = offered.clone();
        setup.check(move |links| check(&name, links, &offered).then_some(()).ok_or(mistake));
    }
    setup.add(Autopath {
        zones: zones.into(),
        paths: Paths { plugin, offered, file: file.into() },
        found: PerSite::default(),
    });
    Ok(())
}

/// The search path in a file.
fn read(c: &Cursor<'_>, path: &str) -> Result<Vec<Name>, ConfigError> {
    let failed = |e| c.bare(format!("failed to parse {}: open {path}: {}", quote(path), os_words(&e)));
    File::open(path).map(resolvconf::search).map_err(failed)
}

/// Whether the plugin that is to be asked knows search paths, or is not there at all; then there are none.
fn check(name: &str, links: &[Link], offered: &Offered<Arc<dyn SearchPath>>) -> bool {
    match offered.iter().find(|path| path.directive() == name) {
        Some(path) => {
            if let Some(lacks) = path.lacks() {
                tracing::warn!("autopath @{name} searches nothing: {lacks}");
            }
            true
        }
        None if links.iter().any(|link| link.name == name) => false,
        None => {
            tracing::warn!("autopath @{name} searches nothing: {name} is not in its server block");
            true
        }
    }
}
