//! Keys of server blocks that claim the same transport, zone, port and address.

use super::{ConfigError, Key, Transport};
use std::collections::{HashMap, HashSet};

/// What one key of a server block claims.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The key.
    pub key: &'a Key,
    /// The addresses that its block is bound to; `None`: all.
    pub bind: Option<&'a [String]>,
    /// Its block answers some queries only (directive `view`).
    pub filtered: bool,
}

/// Refuses ports that cannot be used, keys that claim the same twice, and a zone on one port both bound to an address and not.
/// Claims are those of all blocks in their order. A filtered claim is compared with those before it, and only for the last of
/// these; later ones do not see it.
///
/// # Errors
/// All mistakes, the one that CoreDNS would report first.
pub fn check_overlaps<'a>(claims: impl Iterator<Item = Claim<'a>>) -> Result<(), Vec<ConfigError>> {
    let claims: Vec<Claim<'_>> = claims.collect();
    let mut mistakes: Vec<ConfigError> = claims.iter().filter_map(bad_port).collect();
    let mut taken = Taken::default();
    for claim in claims.iter().filter(|c| c.key.bad_port.is_none()) {
        for address in addresses(claim) {
            mistakes.extend(taken.check(claim, address));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn bad_port(claim: &Claim<'_>) -> Option<ConfigError> {
    let served = addresses(claim).next().is_some();
    let words = claim.key.bad_port.as_deref().filter(|_| served)?;
    Some(ConfigError::bare(Some(&claim.key.token), words).coded("address"))
}

/// The addresses of a claim; the empty one stands for all.
fn addresses<'a>(claim: &Claim<'a>) -> impl Iterator<Item = &'a str> {
    let everywhere = claim.bind.is_none().then_some("");
    everywhere.into_iter().chain(claim.bind.into_iter().flatten().map(String::as_str))
}

/// Transport, zone and port.
type Place<'a> = (Transport, &'a str, u16);

/// What earlier keys have claimed.
#[derive(Default)]
struct Taken<'a> {
    exactly: HashSet<(Place<'a>, &'a str)>,
    /// The address of the last claim of each place.
    last: HashMap<Place<'a>, &'a str>,
}

impl<'a> Taken<'a> {
    fn check(&mut self, claim: &Claim<'a>, address: &'a str) -> Option<ConfigError> {
        let key = claim.key;
        let place = (key.transport, key.zone.as_str(), key.port);
        let already = self.exactly.contains(&(place, address));
        let other = match address {
            _ if already => None,
            "" => self.last.get(&place).copied(),
            _ => self.exactly.contains(&(place, "")).then_some(""),
        };
        let shown = |address: &str| if address.is_empty() { key.to_string() } else { format!("{key} on {address}") };
        let message = match other {
            Some(other) => {
                format!("cannot serve {} - zone overlap listener capacity with {}", shown(address), shown(other))
            }
            None if already && !claim.filtered => format!("cannot serve {} - it is already defined", shown(address)),
            None => {
                if !claim.filtered {
                    self.exactly.insert((place, address));
                    self.last.insert(place, address);
                }
                return None;
            }
        };
        Some(ConfigError::bare(Some(&key.token), message).coded("overlap"))
    }
}
