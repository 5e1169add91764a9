//! A service, and which of its ports and endpoints are meant.

use super::name::Ports;
use crate::index::{Backing, Definition, Found, Index, Service, Slice};
use api::wire::MAX_MESSAGE;
use api::{Name, NameRef};
use std::net::IpAddr;
use std::ops::Range;

/// A service by one or more of its ports.
pub struct Selection<'a> {
    /// Where the service and its endpoints are known.
    pub index: &'a Index,
    /// The service.
    pub service: Found<Service>,
    /// The ports that are meant.
    pub ports: Ports<'a>,
    /// The only zone whose endpoints are meant, in wire form; `None` for all endpoints.
    pub zone: Option<&'a [u8]>,
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

    /// The slices with endpoints that are meant, each with its number and the part of its entries whose turn it is. Where not all of
    /// them find `room`, in octets, the round begins anywhere: clients that are content with a part get different ones.
    pub fn round(&self, room: usize) -> impl Iterator<Item = (usize, Found<Slice>, Part)> {
        let all = || self.slices().enumerate();
        let (mut first, mut cut) = (0, 0);
        if room < MAX_MESSAGE && all().map(|(_, s)| s.addresses.len()).sum::<usize>() > room / MIN_RECORD {
            (first, cut) = (fastrand::usize(..self.service.slices.len().max(1)), fastrand::u16(..));
        }
        let part = move |number, of_first| if number == first { of_first } else { Part::From(0) };
        let from_first = all().skip(first).map(move |(number, slice)| (number, slice, part(number, Part::From(cut))));
        let others = all().take(first + usize::from(cut > 0));
        from_first.chain(others.map(move |(number, slice)| (number, slice, part(number, Part::Before(cut)))))
    }

    /// Whether an entry of a slice is meant.
    pub fn takes(&self, slice: &Slice, entry: usize) -> bool {
        self.zone.is_none_or(|zone| slice.zone(entry) == Some(zone))
    }

    /// How many addresses of a slice are meant.
    pub fn count(&self, slice: &Slice) -> usize {
        let all = slice.addresses.len();
        if self.zone.is_none() { all } else { (0..all).filter(|&entry| self.takes(slice, entry)).count() }
    }

    /// Whether there are ready endpoints.
    pub fn has_endpoints(&self) -> bool {
        self.slices().any(|slice| (0..slice.len()).any(|entry| self.takes(&slice, entry)))
    }

    /// Those of the entries of a slice that are meant, but for those whose address stands in an entry before them, in this slice or in one
    /// of those before it; `number` is that of the slice in [`Selection::slices`].
    pub fn distinct<'s>(
        &'s self,
        number: usize,
        slice: &'s Slice,
        entries: Range<usize>,
    ) -> impl Iterator<Item = usize> + 's {
        let may_repeat = slice.repeats || self.service.overlap;
        entries
            .filter(move |&entry| self.takes(slice, entry) && !(may_repeat && self.stands_before(number, slice, entry)))
    }

    fn stands_before(&self, number: usize, slice: &Slice, entry: usize) -> bool {
        if slice.repeats && slice.addresses.repeated(entry, |before| self.takes(slice, before)) {
            return true;
        }
        if !self.service.overlap {
            return false;
        }
        let Some(address) = slice.addresses.get(entry) else { return false };
        self.slices().take(number).any(|slice| self.holds(&slice, address))
    }

    /// Whether an address is among those of a slice that are meant.
    fn holds(&self, slice: &Slice, address: IpAddr) -> bool {
        slice.addresses.contains(address)
            && (self.zone.is_none()
                || (0..slice.addresses.len()).any(|e| slice.addresses.get(e) == Some(address) && self.takes(slice, e)))
    }

    /// The other name that the service leads to, if it does.
    pub fn leads_to(&self) -> Option<Name> {
        let definition = self.definition()?;
        match &definition.backing {
            Backing::Name(name, _) => owned(name),
            Backing::Headless => self.slices().find_map(|slice| {
                let first = slice.addresses.len();
                let number = (0..slice.names.len()).find(|number| self.takes(&slice, first + number))?;
                owned(&slice.names[number])
            }),
            Backing::Addresses(_) | Backing::Nothing => None,
        }
    }
}

/// A part of the entries of a slice, cut at so many 65,536ths of them.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// Those from there on.
    From(u16),
    /// Those before it.
    Before(u16),
}

impl Part {
    /// This part of entries with these numbers.
    pub fn of(self, numbers: Range<usize>) -> Range<usize> {
        let at = |cut: u16| numbers.start + ((numbers.len() * usize::from(cut)) >> 16);
        match self {
            Part::From(cut) => at(cut)..numbers.end,
            Part::Before(cut) => numbers.start..at(cut),
        }
    }
}

/// Octets of an address record whose owner is a pointer.
const MIN_RECORD: usize = 16;

/// A name in wire form as one that stands for itself.
pub fn owned(wire: &[u8]) -> Option<Name> {
    NameRef::read(wire).map(NameRef::to_name)
}
