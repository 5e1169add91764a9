//! The autopath directive: searches a client's search path on the server, so that the client need not.
//!
//! A pod asks for `example.org.NAMESPACE.svc.cluster.local` first, then for some names more, and for `example.org` last. Where a
//! name is in the first domain of the client's path and does not exist, the plugins below are asked for the name in each of
//! the other domains, and for the name as it stands; what is found first is the answer, behind a CNAME that leads there.

mod search;
mod setup;

use api::metrics::{Counter, CounterFamily, Metric};
use api::name::NameBuf;
use api::server::PerSite;
use api::services::SearchPath;
use api::setup::Offered;
use api::{
    Error, Name, NameRef, Outcome, Owner, Plugin, PluginDef, Query, Rcode, RecordType, Reply, Result, Section, Step,
    Ways,
};
use search::Search;
use std::net::IpAddr;
use std::sync::Arc;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "autopath", properties: &[], metrics: METRICS, setup: setup::setup };

const METRICS: &[&dyn Metric] = &[&FOUND];

static FOUND: CounterFamily =
    CounterFamily::new("coredns_autopath_success_total", "Counter of requests that did autopath.", &["server"]);

/// Searches for the names below its zones.
struct Autopath {
    zones: Box<[Name]>,
    paths: Paths,
    found: PerSite<Counter>,
}

/// Where search paths come from.
struct Paths {
    /// The plugin that knows them, if the block has it.
    plugin: Option<String>,
    offered: Offered<Arc<dyn SearchPath>>,
    /// The path of all clients, where no plugin is asked.
    file: Box<[Name]>,
}

impl Plugin for Autopath {
    fn ways(&self) -> Ways {
        Ways::Both
    }

    fn query(&self, q: &mut Query) -> Result<Step> {
        let mut space = NameBuf::default();
        let Some((base, first)) = self.first_domain(q, &mut space) else { return Ok(Step::Next) };
        if base == 0 {
            let name = q.question.original();
            return Err(Error::msg(format!(
                "plugin/autopath: {name} is a domain of the search path, and no name in it"
            )));
        }
        // Answers have the domain in the letters of the path.
        if q.question.original().suffix(base) != first {
            let search = Search::new(q, base);
            search.ask_in(first, q);
            q.set_note(search);
        }
        Ok(Step::Next)
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        let begun = q.take_note::<Search>();
        let base = match &begun {
            Some(search) => search.base,
            None => match self.first_domain(q, &mut NameBuf::default()) {
                Some((base, _)) => base,
                None => return Ok(Step::Done),
            },
        };
        match Reached::by(&q.reply) {
            Reached::Nothing => {
                let search = begun.unwrap_or_else(|| Search::new(q, base));
                return Ok(self.go_on(search, q));
            }
            Reached::Answer => {
                lead_to_answer(q, begun);
                self.count(q);
            }
            Reached::End => begun.into_iter().for_each(|search| search.restore(q)),
        }
        Ok(Step::Done)
    }
}

/// What a reply means for the search.
enum Reached {
    /// The name does not exist, or nobody knows it: the search goes on.
    Nothing,
    /// This is the answer.
    Answer,
    /// Something went wrong: the search is over.
    End,
}

impl Reached {
    fn by(reply: &Reply) -> Reached {
        match reply.outcome() {
            _ if reply.error().is_some() => Reached::End,
            Outcome::Nothing => Reached::End,
            Outcome::Bare(_) => Reached::Nothing,
            Outcome::Message if reply.rcode() == Some(Rcode::NXDOMAIN) => Reached::Nothing,
            Outcome::Message => Reached::Answer,
        }
    }
}

impl Autopath {
    /// The first domain of the client's search path, if the name asked for is in it, and how many octets stand in front of it.
    fn first_domain<'a>(&'a self, q: &Query, space: &'a mut NameBuf) -> Option<(usize, NameRef<'a>)> {
        let ours = self.zones.iter().any(|zone| q.name().is_below(zone.as_ref()));
        let first = ours.then(|| self.paths.domain(q.client.ip(), q.name(), 0, space))??;
        Some((q.name().below(first)?, first))
    }

    /// Asks in the next domain, behind the last one for the name as it stands; then the first reply is the answer.
    fn go_on(&self, mut search: Search, q: &mut Query) -> Step {
        search.keep_first(q);
        let mut space = NameBuf::default();
        while !search.complete {
            search.number += 1;
            let domain = self.paths.domain(q.client.ip(), search.question.name(), search.number, &mut space);
            search.complete = domain.is_none();
            if search.ask_in(domain.unwrap_or(NameRef::ROOT), q) {
                q.reply.clear();
                q.set_note(search);
                return Step::Next;
            }
        }
        search.give_up(q);
        Step::Done
    }

    fn count(&self, q: &Query) {
        if let Some(found) = q.site().and_then(|site| self.found.get(site, |site| FOUND.with(&[&site.server]))) {
            found.inc();
        }
    }
}

impl Paths {
    /// Domain number `number` of a client's search path, in lower case; see [`SearchPath::domain`].
    fn domain<'a>(
        &'a self,
        client: IpAddr,
        name: NameRef<'_>,
        number: usize,
        space: &'a mut NameBuf,
    ) -> Option<NameRef<'a>> {
        match self.plugin.as_deref().and_then(|plugin| self.offered.iter().find(|path| path.directive() == plugin)) {
            Some(plugin) => plugin.domain(client, name, number, space),
            None => self.file.get(number).map(Name::as_ref),
        }
    }
}

/// Puts a CNAME record in front of the answer that leads from the name asked for to the first record that has another one.
fn lead_to_answer(q: &mut Query, begun: Option<Search>) {
    let changed = begun.map(|search| search.restore(q)).is_some();
    let Query { question, reply, .. } = q;
    let other = reply.records().find(|r| r.section() == Section::Answer && !r.is_of(question.name())).map(|r| {
        let mut owner = Vec::new();
        r.read_owner(&mut owner);
        (owner, r.ttl())
    });
    match other.as_ref().and_then(|(owner, ttl)| Some((NameRef::read(owner)?, *ttl))) {
        Some((target, ttl)) => reply.set_question_and_lead(question, |reply| {
            reply.push(Section::Answer, Owner::Question, RecordType::CNAME, ttl, |d| d.name(target));
        }),
        None if changed => reply.set_question(question),
        None => (),
    }
}

#[cfg(test)]
mod tests;
