//! A service, and which of its ports and endpoints are meant.

use super::name::Ports;
use crate::index::{Backing, Definition, Found, Index, Service, Slice};
use api::{Name, NameRef};

/// A service by one or more of its ports.
pub struct Selection<'a> {
    /// Where the service and its endpoints are known.
    pub index: &'a Index,
    /// The service.
    pub service: Found<Service>,
    /// The ports that are meant.
    pub ports: Ports<'a>,
}

impl Selection<'_> {
    /// What the service's object says.
    pub fn definition(&self) -> Option<&Definition> {
        self.service.definition.as_ref()
    }

    /// The slices with endpoints that are meant.
    pub fn slices(&self) -> impl Iterator<Item = Found<Slice>> {
        self.index.slices_of(&self.service).filter(|slice| self.ports.are_in(&slice.ports))
    }

    /// Whether there are ready endpoints.
    pub fn has_endpoints(&self) -> bool {
        self.slices().any(|slice| slice.len() > 0)
    }

    /// Whether the address of an entry stands in an entry before it, in this slice or in one of those before it; `number` is
    /// that of the slice in [`Selection::slices`].
    pub fn repeats(&self, (number, slice, entry): (usize, &Slice, usize)) -> bool {
        if slice.repeats && slice.addresses.repeated(entry) {
            return true;
        }
        if !self.service.overlap {
            return false;
        }
        let Some(address) = slice.addresses.get(entry) else { return false };
        self.slices().take(number).any(|slice| slice.addresses.contains(address))
    }

    /// The other name that the service leads to, if it does.
    pub fn leads_to(&self) -> Option<Name> {
        let definition = self.definition()?;
        match &definition.backing {
            Backing::Name(name, _) => owned(name),
            Backing::Headless => self.slices().find_map(|slice| owned(slice.names.first()?)),
            Backing::Addresses(_) | Backing::Nothing => None,
        }
    }
}

/// A name in wire form as one that stands for itself.
pub fn owned(wire: &[u8]) -> Option<Name> {
    NameRef::read(wire).map(NameRef::to_name)
}
