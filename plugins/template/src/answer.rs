//! From an entry that fits to the reply.

use crate::data::QueryData;
use crate::{Entry, Source};
use api::presentation::TextRecord;
use api::reply::ReplyOpt;
use api::wire::flag;
use api::{Error, NameRef, Owner, Query, Rcode, RecordType, Result, Section};

/// Size in an OPT that only carries an extended error, in octets (CoreDNS's value).
const OPT_SIZE: u16 = 4096;
/// Code of the EDNS option (RFC 8914 2).
const EXTENDED_ERROR: u16 = 15;

/// The records of a reply, before it is written.
pub struct Records {
    rcode: Rcode,
    extended_error: Option<(u16, String)>,
    truncated: bool,
    /// Aliases are followed by what was found for them.
    answer: Vec<TextRecord>,
    authority: Vec<TextRecord>,
    additional: Vec<TextRecord>,
}

impl Entry {
    /// What the templates make of a query.
    pub fn records(&self, data: &QueryData<'_>) -> Result<Records> {
        let make = |section: &'static str, sources: &[Source]| {
            sources.iter().map(|source| self.record(data, section, source)).collect::<Result<Vec<_>>>()
        };
        Ok(Records {
            rcode: self.rcode,
            extended_error: self.extended_error.clone(),
            truncated: false,
            answer: make("answer", &self.answer)?,
            additional: make("additional", &self.additional)?,
            authority: make("authority", &self.authority)?,
        })
    }

    fn record(&self, data: &QueryData<'_>, section: &str, source: &Source) -> Result<TextRecord> {
        let text = source.template.execute(data).map_err(|e| {
            self.count(data, |c| c.template_failed(section, &source.text));
            Error::msg(e)
        })?;
        TextRecord::parse(&text).map_err(|e| {
            self.count(data, |c| c.record_failed(section, &source.text));
            Error::msg(format!("dns: {e}"))
        })
    }
}

impl Records {
    /// The places of aliases whose targets have to be looked up.
    pub fn aliases(&self, q: &Query) -> impl Iterator<Item = usize> {
        let wanted = matches!(q.rtype(), RecordType::A | RecordType::AAAA);
        self.answer.iter().enumerate().filter(move |(_, r)| wanted && r.rtype == RecordType::CNAME).map(|(i, _)| i)
    }

    /// Puts what the server itself answers for the targets of aliases behind them. What cannot be looked up has no answer.
    pub async fn chase(&mut self, q: &mut Query) {
        let aliases: Vec<usize> = self.aliases(q).collect();
        for alias in aliases.into_iter().rev() {
            let Some(target) = NameRef::read(&self.answer[alias].data) else { continue };
            if let Ok(found) = q.lookup(target, q.rtype()).await {
                self.truncated |= found.reply.flags() & flag::TC != 0;
                let records = found.reply.records().filter(|r| r.section() == Section::Answer);
                self.answer.splice(alias + 1..alias + 1, records.filter_map(|r| owned(&r)));
            }
        }
    }

    /// Writes the reply.
    pub fn write(&self, q: &mut Query) {
        let reply = q.respond_authoritative(self.rcode);
        for (section, records) in [
            (Section::Answer, &self.answer),
            (Section::Authority, &self.authority),
            (Section::Additional, &self.additional),
        ] {
            for r in records {
                reply.push_class(section, Owner::Name(r.owner()), (r.rtype, r.class), r.ttl, |d| d.octets(&r.data));
            }
        }
        if self.truncated {
            reply.set_flags(flag::TC, flag::TC);
        }
        if let Some((code, text)) = &self.extended_error {
            reply.set_opt(Some(ReplyOpt { size: OPT_SIZE, dnssec_ok: true, options: extended_error(*code, text) }));
        }
    }
}

/// A copy of a record that stands alone.
fn owned(r: &api::Record<'_>) -> Option<TextRecord> {
    let (mut owner, mut data) = (Vec::new(), Vec::new());
    r.read_owner(&mut owner);
    r.read_data(&mut data);
    let owner = NameRef::read(&owner)?.to_name();
    Some(TextRecord { owner, rtype: r.rtype(), class: r.class(), ttl: r.ttl(), data })
}

fn extended_error(code: u16, text: &str) -> Vec<u8> {
    let mut option = EXTENDED_ERROR.to_be_bytes().to_vec();
    option.extend_from_slice(&(2 + text.len() as u16).to_be_bytes());
    option.extend_from_slice(&code.to_be_bytes());
    option.extend_from_slice(text.as_bytes());
    option
}
