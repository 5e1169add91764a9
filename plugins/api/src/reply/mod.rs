//! The reply under construction: a message in wire form and an index of its records.
//!
//! Plugins append records in the order of the sections; nothing is allocated once the buffers have grown. Changes that keep
//! every octet in its place (TTL, flags) are made in the wire form; all others write the message anew (`rewrite.rs`).

mod explain;
mod kind;
mod more;
mod parse;
mod rewrite;
mod stored;

pub use kind::Kind;
pub use more::More;
pub use stored::{Again, Stored};

use crate::Error;
use crate::codes::{Class, Opcode, Rcode, RecordType};
use crate::explain::InfoCode;
use crate::name::{MAX_NAME, NameBuf, NameRef};
use crate::query::Question;
use crate::wire::{self, HEADER, MAX_MESSAGE, Malformed, REACH, flag};
use rewrite::Names;
use std::net::IpAddr;

/// The section a record stands in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "RFC 1035 4.1 says what they are")]
pub enum Section {
    Answer,
    Authority,
    Additional,
}

/// What is to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing: the client gets no reply.
    Nothing,
    /// No plugin wrote a message: the server sends header and question with this code.
    Bare(Rcode),
    /// The message in the reply.
    Message,
}

/// The OPT record that a plugin or an upstream put into the reply (RFC 6891); the server completes it.
#[derive(Clone, Debug, Default)]
pub struct ReplyOpt {
    /// UDP payload size, in octets.
    pub size: u16,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
    /// Options as they stand on the wire.
    pub options: Vec<u8>,
}

/// Where a record stands in the wire form.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u16,
    rdata: u16,
    end: u16,
    rtype: RecordType,
    section: Section,
}

impl Entry {
    /// The same so many octets further on.
    fn moved(self, by: usize) -> Entry {
        let by = by as u16;
        Entry { start: self.start + by, rdata: self.rdata + by, end: self.end + by, ..self }
    }
}

/// The owner of a record that is written.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'a> {
    /// The name asked for, in the client's letters.
    Question,
    /// The name asked for without its first octets (so many; the start of a label), in the client's letters.
    Suffix(usize),
    /// Labels in wire form, without a root label, in front of the name asked for; where that makes no valid name, the record
    /// is left out.
    Under(&'a [u8]),
    /// The target of the SRV record at this place of [`Reply::records`], which was written with [`RecordData::name`]; without such a
    /// record this one is left out.
    Target(usize),
    /// Any other name.
    Name(NameRef<'a>),
}

/// The reply to one query.
pub struct Reply {
    outcome: Outcome,
    wire: Vec<u8>,
    records: Vec<Entry>,
    question: NameBuf,
    rcode: Rcode,
    /// The TTL of every record, where they are known to have the same; says nothing while there is none.
    ttl: Option<u32>,
    /// Octets of the message without compression and without OPT.
    plain: usize,
    /// Octets that the message may grow to.
    room: usize,
    /// Records were left out because the message has no room for them.
    overflow: bool,
    /// Written from a state that is followed.
    live: bool,
    opt: Option<ReplyOpt>,
    error: Option<Error>,
    /// Why the reply is what it is, and words for the client.
    why: Option<(InfoCode, &'static str)>,
    more: Option<Box<dyn More>>,
    names: Names,
}

impl Default for Reply {
    fn default() -> Self {
        Reply {
            outcome: Outcome::Nothing,
            wire: Vec::with_capacity(512),
            records: Vec::with_capacity(16),
            question: NameBuf::default(),
            rcode: Rcode::NOERROR,
            ttl: None,
            plain: 0,
            room: MAX_MESSAGE,
            overflow: false,
            live: false,
            opt: None,
            error: None,
            why: None,
            more: None,
            names: Names::default(),
        }
    }
}

/// Beginning, outcome, header.
impl Reply {
    /// Back to [`Outcome::Nothing`].
    pub fn clear(&mut self) {
        self.clear_but_error();
        self.error = None;
    }

    fn clear_but_error(&mut self) {
        self.outcome = Outcome::Nothing;
        self.wire.clear();
        self.records.clear();
        self.rcode = Rcode::NOERROR;
        self.plain = 0;
        self.room = MAX_MESSAGE;
        self.overflow = false;
        self.live = false;
        self.opt = None;
        self.why = None;
        self.more = None;
    }

    /// Begins a message: NOERROR, the question, RD and CD as asked, no records. What was there before is gone but the error.
    pub fn start(&mut self, id: u16, opcode: Opcode, request_flags: u16, question: &Question) {
        self.clear_but_error();
        self.outcome = Outcome::Message;
        let copied = if opcode == Opcode::QUERY { request_flags & (flag::RD | flag::CD) } else { 0 };
        let flags = flag::QR | u16::from(opcode.0) << 11 | copied;
        let (name, w) = (question.original(), &mut self.wire);
        w.extend_from_slice([id, flags, 1, 0, 0, 0].map(u16::to_be_bytes).as_flattened());
        w.extend_from_slice(name.as_bytes());
        w.extend_from_slice([question.rtype.0, question.class.0].map(u16::to_be_bytes).as_flattened());
        self.question.set(name);
        self.plain = w.len();
    }

    /// No message but this code: the server sends header and question.
    pub fn bare(&mut self, rcode: Rcode) {
        self.clear_but_error();
        self.outcome = Outcome::Bare(rcode);
    }

    /// What is to be sent.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the message has this question: the same name, whatever its letters, and the same type and class.
    pub fn answers(&self, question: &Question) -> bool {
        let end = HEADER + self.question.get().as_bytes().len();
        let field = |at| wire::u16_at(&self.wire, at).unwrap_or(0);
        self.question.get().eq_ignore_case(question.name())
            && (field(end), field(end + 2)) == (question.rtype.0, question.class.0)
    }

    /// Whether there is a message, written by a plugin.
    pub fn is_message(&self) -> bool {
        self.outcome == Outcome::Message
    }

    /// The response code, also of a reply without message; `None` where nothing is sent.
    pub fn rcode(&self) -> Option<Rcode> {
        match self.outcome {
            Outcome::Nothing => None,
            Outcome::Bare(rcode) => Some(rcode),
            Outcome::Message => Some(self.rcode),
        }
    }

    /// Says that the reply tells a state that the plugin follows ([`crate::services::Live`]): it is true now, and not to be kept.
    pub fn set_live(&mut self) {
        self.live = true;
    }

    /// Whether the reply is not to be kept for later.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// What went wrong below, for the plugins that report it.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// No message but the error's code, and the error for those who report it.
    pub fn fail(&mut self, error: Error) {
        self.bare(error.rcode());
        self.error = Some(error);
    }

    /// The second header word; 0 where there is no message.
    pub fn flags(&self) -> u16 {
        wire::u16_at(&self.wire, 2).unwrap_or(0)
    }

    /// Sets the header bits of `mask` to those of `bits`; see [`flag`].
    pub fn set_flags(&mut self, mask: u16, bits: u16) {
        if self.is_message()
            && let Some([_, _, high, low, ..]) = self.wire.first_chunk_mut::<HEADER>()
        {
            let flags = u16::from_be_bytes([*high, *low]) & !mask | bits & mask;
            [*high, *low] = flags.to_be_bytes();
        }
    }
}

/// Writing records.
impl Reply {
    /// Sets the response code of the message; codes over 15 reach clients that sent an OPT only.
    pub fn set_rcode(&mut self, rcode: Rcode) {
        self.rcode = rcode;
        self.set_flags(flag::RCODE, rcode.0);
    }

    /// Says whether the answer is authoritative.
    pub fn set_authoritative(&mut self, authoritative: bool) {
        self.set_flags(flag::AA, if authoritative { flag::AA } else { 0 });
    }

    /// Appends a record of class IN; see [`Reply::push_class`].
    pub fn push(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: RecordType,
        ttl: u32,
        data: impl FnOnce(&mut RecordData<'_>),
    ) {
        self.push_class(section, owner, (rtype, Class::IN), ttl, data);
    }

    /// Appends a record whose data `data` writes. Sections are filled in their order.
    ///
    /// Where there is no message, nothing happens. A record for which the message has no room is left out, like all that
    /// follow it, and the reply says that it is truncated (RFC 2181 9).
    pub fn push_class(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        (rtype, class): (RecordType, Class),
        ttl: u32,
        data: impl FnOnce(&mut RecordData<'_>),
    ) {
        if !self.is_message() || self.overflow {
            return;
        }
        debug_assert!(self.records.last().is_none_or(|r| r.section <= section), "sections are written in their order");
        let start = self.wire.len();
        let Some(owner_plain) = self.write_owner(owner) else { return };
        self.wire.extend_from_slice(&fixed_fields(rtype, class, ttl));
        let rdata = self.wire.len();
        let mut writer = RecordData { wire: &mut self.wire, question: self.question.get(), saved: 0 };
        data(&mut writer);
        let saved = writer.saved;
        let end = self.wire.len();
        if end > self.room {
            self.wire.truncate(start);
            self.overflow = true;
            return;
        }
        self.wire[rdata - 2..rdata].copy_from_slice(&((end - rdata) as u16).to_be_bytes());
        self.note(Entry { start: start as u16, rdata: rdata as u16, end: end as u16, rtype, section }, ttl);
        self.plain += owner_plain + (end - rdata) + saved + 10;
        self.bump(section, 1);
    }

    /// Appends records of class IN that differ in their data only (RFC 2181 5), until the message has no room for more.
    pub fn push_set<const N: usize>(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: RecordType,
        ttl: u32,
        data: impl IntoIterator<Item = [u8; N]>,
    ) {
        let mut data = data.into_iter().fuse();
        let (written, plain) = (self.records.len(), self.plain);
        let Some(first) = data.next() else { return };
        self.push(section, owner, rtype, ttl, |d| d.octets(&first));
        if data.size_hint().1 != Some(0)
            && let Some(&one) = self.records.get(written)
        {
            let more = self.repeat(one, data);
            self.plain += more * (self.plain - plain);
            self.bump(section, more as u16);
        }
    }

    /// Writes `one`, the last record, once more for each of `data`, which stand in the place of its data, as far as there is room; returns
    /// how often.
    fn repeat<const N: usize>(&mut self, one: Entry, mut data: impl Iterator<Item = [u8; N]>) -> usize {
        let (start, len) = (usize::from(one.start), usize::from(one.end - one.start));
        let most = data.size_hint().1.unwrap_or(MAX_MESSAGE).saturating_mul(len);
        let end = most.saturating_add(one.end.into()).min(self.room);
        // As many as there may be; each round writes all that there are once more.
        while self.wire.len() < end {
            let more = (self.wire.len() - start).min(end - self.wire.len());
            self.wire.extend_from_within(start..start + more);
        }
        let mut count = 0;
        for (record, octets) in self.wire[one.end.into()..].chunks_exact_mut(len).zip(&mut data) {
            if let Some(place) = record.last_chunk_mut() {
                *place = octets;
            }
            count += 1;
        }
        self.wire.truncate(usize::from(one.end) + count * len);
        self.overflow = data.next().is_some();
        self.records.extend((1..=count).map(|n| one.moved(n * len)));
        count
    }

    /// Appends an address record.
    pub fn push_address(&mut self, section: Section, owner: Owner<'_>, ttl: u32, address: IpAddr) {
        match address {
            IpAddr::V4(a) => self.push(section, owner, RecordType::A, ttl, |d| d.octets(&a.octets())),
            IpAddr::V6(a) => self.push(section, owner, RecordType::AAAA, ttl, |d| d.octets(&a.octets())),
        }
    }

    /// For the server, last of all: appends an OPT record. `flags` is its TTL: upper response code, version, DO.
    pub fn push_opt(&mut self, size: u16, flags: u32, options: impl FnOnce(&mut RecordData<'_>)) {
        self.overflow = false;
        self.room = MAX_MESSAGE;
        let root = Owner::Name(NameRef::ROOT);
        self.push_class(Section::Additional, root, (RecordType::OPT, Class(size)), flags, options);
    }

    /// For the server: a message that is to be sent as it is.
    pub fn set_raw(&mut self, message: &[u8]) {
        self.clear();
        self.wire.extend_from_slice(message);
    }

    /// Writes an owner name and returns its octets without compression; `None`, and nothing written, where it is too long.
    fn write_owner(&mut self, owner: Owner<'_>) -> Option<usize> {
        match owner {
            Owner::Question => Some(self.write_suffix(0)),
            Owner::Suffix(offset) => Some(self.write_suffix(offset)),
            Owner::Under(labels) if labels.len() + self.question.get().as_bytes().len() > MAX_NAME => None,
            Owner::Under(labels) => {
                self.wire.extend_from_slice(labels);
                Some(labels.len() + self.write_suffix(0))
            }
            Owner::Target(place) => self.write_target(place),
            Owner::Name(name) if name == self.question.get() => Some(self.write_suffix(0)),
            Owner::Name(name) => {
                self.wire.extend_from_slice(name.as_bytes());
                Some(name.as_bytes().len())
            }
        }
    }

    /// Writes the question's name without its first `offset` octets, as short as it can be, and returns its octets without compression.
    fn write_suffix(&mut self, offset: usize) -> usize {
        let len = self.question.get().as_bytes().len() - offset;
        match len {
            1 => self.wire.push(0),
            _ => self.wire.extend_from_slice(&question_pointer(offset)),
        }
        len
    }

    /// Writes the target of an SRV record, which stands there as a whole, and returns its octets without compression; `None` where there
    /// is no such record.
    fn write_target(&mut self, place: usize) -> Option<usize> {
        let record = self.records.get(place).filter(|r| r.rtype == RecordType::SRV)?;
        let name = usize::from(record.rdata) + PORT_END..usize::from(record.end);
        match name.start {
            near @ ..REACH => self.wire.extend_from_slice(&(0xc000 | near as u16).to_be_bytes()),
            _ => self.wire.extend_from_within(name.clone()),
        }
        Some(name.len())
    }

    /// Notes a record that has been written.
    fn note(&mut self, entry: Entry, ttl: u32) {
        self.ttl = if self.records.is_empty() { Some(ttl) } else { self.ttl.filter(|&one| one == ttl) };
        self.records.push(entry);
    }

    /// Adds to the header's count of a section, modulo 2^16.
    fn bump(&mut self, section: Section, by: u16) {
        let at = 6 + 2 * section as usize;
        let count = u16::from_be_bytes([self.wire[at], self.wire[at + 1]]).wrapping_add(by);
        self.wire[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
}

/// Octets in front of the target of an SRV record: priority, weight, port.
const PORT_END: usize = 6;

/// What stands between the owner of a record and its data (RFC 1035 4.1.3); the length of the data comes when they are written.
fn fixed_fields(rtype: RecordType, class: Class, ttl: u32) -> [u8; 10] {
    let mut fields = [0; 10];
    let known = u64::from(rtype.0) << 48 | u64::from(class.0) << 32 | u64::from(ttl);
    fields[..8].copy_from_slice(&known.to_be_bytes());
    fields
}

/// A compression pointer to the question's name without its first `offset` octets.
fn question_pointer(offset: usize) -> [u8; 2] {
    (0xc000 | (HEADER + offset) as u16).to_be_bytes()
}

/// Writes the data of one record.
pub struct RecordData<'a> {
    wire: &'a mut Vec<u8>,
    question: NameRef<'a>,
    /// Octets that compression saved.
    saved: usize,
}

impl RecordData<'_> {
    /// Octets as they are.
    #[inline]
    pub fn octets(&mut self, octets: &[u8]) {
        self.wire.extend_from_slice(octets);
    }

    /// A 16-bit number.
    pub fn u16(&mut self, n: u16) {
        self.octets(&n.to_be_bytes());
    }

    /// A 32-bit number.
    pub fn u32(&mut self, n: u32) {
        self.octets(&n.to_be_bytes());
    }

    /// A name, uncompressed.
    pub fn name(&mut self, name: NameRef<'_>) {
        self.octets(name.as_bytes());
    }

    /// Labels in wire form (without a root label) in front of the question's name without its first `offset` octets,
    /// in the client's letters; uncompressed. For types whose names must not be compressed (RFC 3597 4).
    pub fn under_question(&mut self, labels: &[u8], offset: usize) {
        self.octets(labels);
        self.wire.extend_from_slice(self.question.suffix(offset).as_bytes());
    }

    /// Like [`RecordData::under_question`], compressed. For NS, CNAME, SOA, PTR, MX.
    #[inline]
    pub fn under_question_compressed(&mut self, labels: &[u8], offset: usize) {
        self.octets(labels);
        match self.question.suffix(offset).as_bytes().len() {
            1 => self.wire.push(0),
            n => {
                self.wire.extend_from_slice(&question_pointer(offset));
                self.saved += n - 2;
            }
        }
    }

    /// A character string (RFC 1035 3.3); what is over 255 octets is cut.
    pub fn text(&mut self, text: &[u8]) {
        let text = &text[..text.len().min(255)];
        self.wire.push(text.len() as u8);
        self.octets(text);
    }
}

/// One record of a reply.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    reply: &'a Reply,
    entry: Entry,
}

impl<'a> Record<'a> {
    /// The section it stands in.
    pub fn section(&self) -> Section {
        self.entry.section
    }

    /// Its type.
    pub fn rtype(&self) -> RecordType {
        self.entry.rtype
    }

    /// Its class.
    pub fn class(&self) -> Class {
        Class(self.fixed16(2))
    }

    /// Its time to live in seconds.
    pub fn ttl(&self) -> u32 {
        let at = self.entry.rdata as usize - 6;
        u32::from_be_bytes(self.reply.wire[at..at + 4].try_into().expect("four octets"))
    }

    /// Its data as it stands; names in it may be compressed.
    pub fn raw_data(&self) -> &'a [u8] {
        &self.reply.wire[self.entry.rdata as usize..self.entry.end as usize]
    }

    /// Appends its owner name, uncompressed, to `out`.
    pub fn read_owner(&self, out: &mut Vec<u8>) {
        wire::read_name(&self.reply.wire, self.entry.start as usize, out).expect("checked when it was written");
    }

    /// Whether its owner is `name`, whatever the letters.
    pub fn is_of(&self, name: NameRef<'_>) -> bool {
        let (wire, start, name) = (&self.reply.wire, self.entry.start as usize, name.as_bytes());
        // Most owners are a pointer to the question's name, which stands there as a whole.
        let asked = wire.get(HEADER..HEADER + name.len()).filter(|_| wire[start..].starts_with(&TO_QUESTION));
        asked == Some(name) || wire::same_name(wire, start, name, <[u8]>::eq_ignore_ascii_case)
    }

    /// Appends its data, names uncompressed, to `out`.
    pub fn read_data(&self, out: &mut Vec<u8>) {
        let e = &self.entry;
        wire::read_rdata(&self.reply.wire, e.rtype, e.rdata as usize, e.end as usize, out)
            .expect("checked when it was written");
    }

    /// The number `offset` octets behind the owner name.
    fn fixed16(&self, offset: usize) -> u16 {
        let at = self.entry.rdata as usize - 10 + offset;
        u16::from_be_bytes([self.reply.wire[at], self.reply.wire[at + 1]])
    }
}

/// A pointer to the question's name (RFC 1035 4.1.4).
const TO_QUESTION: [u8; 2] = (0xc000 | HEADER as u16).to_be_bytes();

/// Reading, and changes that keep every octet in its place.
impl Reply {
    /// The message in wire form, without an OPT record; empty where there is none.
    pub fn bytes(&self) -> &[u8] {
        &self.wire
    }

    /// The records but OPT, section by section.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> + DoubleEndedIterator {
        self.records.iter().map(|&entry| Record { reply: self, entry })
    }

    /// The record at place `index` of [`Reply::records`].
    pub fn record(&self, index: usize) -> Option<Record<'_>> {
        self.records.get(index).map(|&entry| Record { reply: self, entry })
    }

    /// How many records there are in `section`.
    pub fn count(&self, section: Section) -> usize {
        self.records.iter().filter(|r| r.section == section).count()
    }

    /// Octets of the message without compression, the OPT that it has included; 0 where there is none.
    pub fn plain_len(&self) -> usize {
        self.plain + self.opt.as_ref().map_or(0, |o| 11 + o.options.len())
    }

    /// The OPT that a plugin or an upstream put in.
    pub fn opt(&self) -> Option<&ReplyOpt> {
        self.opt.as_ref()
    }

    /// Puts in an OPT or takes it out; see [`ReplyOpt`].
    pub fn set_opt(&mut self, opt: Option<ReplyOpt>) {
        self.opt = opt;
    }

    /// Octets that the message may grow to while records are appended: those of any message, unless it was bounded.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Bounds the message, so that no time is spent on records that the client cannot be sent. Names are compressed, and the
    /// message is cut to the client's size, only when it is complete: the bound has to be well above that.
    pub fn set_room(&mut self, octets: usize) {
        self.room = octets.min(MAX_MESSAGE);
    }

    /// Whether records were left out because the message has no room for them.
    pub fn overflowed(&self) -> bool {
        self.overflow
    }

    /// The TTLs of the records, in seconds, in no order: that of each record, or, where all have the same, that one.
    pub fn ttls(&self) -> impl Iterator<Item = u32> {
        let one = self.ttl.filter(|_| !self.records.is_empty());
        let looked_at = if one.is_some() { &[] } else { &*self.records };
        one.into_iter().chain(looked_at.iter().map(|&entry| Record { reply: self, entry }.ttl()))
    }

    /// Gives every record this TTL.
    pub fn set_ttl(&mut self, ttl: u32) {
        if self.ttl != Some(ttl) {
            self.map_ttls(|_, _| ttl);
            self.ttl = Some(ttl);
        }
    }

    /// Sets the TTL of every record to what `ttl` makes of it.
    pub fn map_ttls(&mut self, mut ttl: impl FnMut(Section, u32) -> u32) {
        self.ttl = None;
        for r in &self.records {
            let at = r.rdata as usize - 6;
            let field = &mut self.wire[at..at + 4];
            let old = u32::from_be_bytes(field.try_into().expect("four octets"));
            field.copy_from_slice(&ttl(r.section, old).to_be_bytes());
        }
    }

    /// Gives the message another ID.
    pub fn set_id(&mut self, id: u16) {
        if let Some(field) = self.wire.get_mut(..2) {
            field.copy_from_slice(&id.to_be_bytes());
        }
    }

    /// Drops the records of all sections from `section` on.
    pub fn drop_from(&mut self, section: Section) {
        while let Some(&last) = self.records.last().filter(|r| r.section >= section) {
            self.drop_last(last);
        }
    }

    fn drop_last(&mut self, last: Entry) {
        let (start, rdata, end) = (last.start as usize, last.rdata as usize, last.end as usize);
        let owner = wire::skip_name(&self.wire, start).map_or(0, |(_, plain)| plain);
        let data = wire::plain_rdata_len(&self.wire, last.rtype, rdata, end).unwrap_or(end - rdata);
        self.plain -= owner + 10 + data;
        self.wire.truncate(start);
        self.bump(last.section, 0u16.wrapping_sub(1));
        self.records.pop();
    }
}
