//! The syntax of the directive.

use crate::Outside;
use crate::zones::Zones;
use api::corefile::{ConfigError, Cursor};
use api::gotext::parse_int;
use api::services::{Endpoints, External, ExternalWanted, Live, Transfer};
use api::{Fallthrough, Name, Setup};
use std::sync::Arc;

/// What the block says; where it says nothing, the default.
struct Properties {
    apex: String,
    ttl: u32,
    endpoints: Endpoints,
    fallthrough: Fallthrough,
}

/// Adds the plugin, and looks whether there is a cluster that it can tell of.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut zones = Vec::new();
    let (apex, fallthrough) = (DEFAULT_APEX.to_owned(), Fallthrough::default());
    let mut properties = Properties { apex, ttl: DEFAULT_TTL, endpoints: Endpoints::Hidden, fallthrough };
    // Of zones the last line counts.
    while c.next() {
        zones = setup.names_or(&c.remaining_args());
        while c.next_block() {
            properties.read(&mut c)?;
        }
    }
    let cluster = setup.offered::<Arc<dyn External>>();
    let (offered, mistake) = (cluster.clone(), c.bare("kubernetes plugin not loaded"));
    setup.check(move |_| offered.first().map(drop).ok_or(mistake));
    setup.shared::<ExternalWanted>().set();
    let Properties { ttl, endpoints, fallthrough, .. } = properties;
    if let Some(zones) = Zones::new(zones, apex_name(&properties.apex).as_ref()) {
        let plugin = Arc::new(Outside { zones, ttl, endpoints, fallthrough, cluster });
        setup.offer::<Arc<dyn Live>>(plugin.clone());
        setup.offer::<Arc<dyn Transfer>>(plugin.clone());
        setup.add(plugin);
    }
    Ok(())
}

impl Properties {
    /// Reads the property that the cursor stands on.
    fn read(&mut self, c: &mut Cursor<'_>) -> Result<(), ConfigError> {
        match c.val() {
            "ttl" => self.ttl = ttl(c)?,
            "apex" => self.apex = first_argument(c)?.to_owned(),
            "headless" => self.endpoints = Endpoints::Shown,
            "fallthrough" => self.fallthrough = Fallthrough::parse(c),
            unknown => return Err(c.err(format!("unknown property '{unknown}'"))),
        }
        Ok(())
    }
}

fn ttl(c: &mut Cursor<'_>) -> Result<u32, ConfigError> {
    let ttl = parse_int(first_argument(c)?).map_err(|why| c.bare(why))?;
    let range = || c.err(format!("ttl must be in range [0, {MAX_TTL}]: {ttl}"));
    u32::try_from(ttl).ok().filter(|&ttl| ttl <= MAX_TTL).ok_or_else(range)
}

/// The first of some arguments; the others are not looked at.
fn first_argument<'a>(c: &mut Cursor<'a>) -> Result<&'a str, ConfigError> {
    c.remaining_args().first().copied().ok_or_else(|| c.arg_err())
}

/// The labels that the name server is below.
fn apex_name(text: &str) -> Name {
    let name = Name::from_text(text).ok().filter(|name| !name.as_ref().is_root());
    name.unwrap_or_else(|| {
        tracing::warn!("k8s_external: {text:?} is no label for an apex, {DEFAULT_APEX} is used");
        Name::from_text(DEFAULT_APEX).unwrap_or_else(|_| Name::root())
    })
}

const DEFAULT_APEX: &str = "dns";
const DEFAULT_TTL: u32 = 5;
/// In seconds.
const MAX_TTL: u32 = 3600;
