//! What accompanies a query: notes and values of plugins, the server that it came in at.

use super::Query;
use crate::codes::RecordType;
use crate::name::NameRef;
use crate::server::{Server, Site};
use std::any::{Any, TypeId};
use std::sync::Arc;

impl Query {
    /// Leaves something for other plugins, or for the way up; replaces what is there of the same type.
    pub fn set_note<T: Any + Send>(&mut self, note: T) {
        self.take_note::<T>();
        self.notes.push((TypeId::of::<T>(), Box::new(note)));
    }

    /// What was left of this type.
    pub fn note<T: Any + Send>(&self) -> Option<&T> {
        self.notes.iter().find(|(id, _)| *id == TypeId::of::<T>()).and_then(|(_, note)| note.downcast_ref())
    }

    /// Takes away what was left of this type.
    pub fn take_note<T: Any + Send>(&mut self) -> Option<T> {
        let at = self.notes.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        self.notes.swap_remove(at).1.downcast().ok().map(|note| *note)
    }

    /// The value for `label` (`plugin/name`) that a plugin of the server block knows about the query as it came in, or has
    /// left about it; none where the block is without the directive `metadata`.
    pub fn metadata(&self, label: &str) -> Option<String> {
        let at = self.described_at?;
        let left = self.described.iter().find(|(left, _)| *left == label);
        left.map(|(_, value)| value.clone()).or_else(|| self.server.as_ref()?.metadata(at)?.value(self, label))
    }

    /// Leaves a value about the query, in place of one of the same label; nothing where the block is without the directive
    /// `metadata`. What is known from the query alone is better offered ([`crate::services::Metadata`]).
    pub fn describe(&mut self, label: &'static str, value: impl FnOnce() -> String) {
        if self.described_at.is_some() {
            self.described.retain(|(left, _)| *left != label);
            self.described.push((label, value()));
        }
    }

    /// For the router: the block of this one of the server's sites, which is tried now, knows values about the query.
    pub fn set_described_at(&mut self, site: usize) {
        self.described_at = Some(site);
        self.described.clear();
    }

    /// Where the query came in, once it is routed.
    pub fn site(&self) -> Option<&Site> {
        self.server.as_ref()?.sites().get(self.site)
    }

    /// For the router: the number of that site among all of the server.
    pub fn site_number(&self) -> usize {
        self.site
    }

    /// For the router: which of the server's sites the query came in at.
    pub fn set_site(&mut self, index: usize) {
        self.site = index;
    }

    /// For transports: the server that answers look-ups of plugins.
    pub fn set_server(&mut self, server: &Arc<dyn Server>) {
        if !self.server.as_ref().is_some_and(|s| Arc::ptr_eq(s, server)) {
            self.server = Some(server.clone());
        }
    }

    pub(crate) fn server(&self) -> Option<&Arc<dyn Server>> {
        self.server.as_ref()
    }

    /// A query of its own for `name`, from the same client over the same transport; nothing of the reply or the notes.
    pub fn ask_too(&self, name: NameRef<'_>, rtype: RecordType) -> Box<Query> {
        let mut q = Box::new(Query {
            edns: self.edns,
            edns_options: self.edns_options.clone(),
            client: self.client,
            local: self.local,
            transport: self.transport,
            received: self.received,
            deadline: self.deadline,
            id: self.id,
            flags: self.flags,
            site: self.site,
            server: self.server.clone(),
            depth: self.depth + 1,
            lookups: self.lookups.clone(),
            ..Query::default()
        });
        q.question.set_name(name);
        q.question.rtype = rtype;
        q.question.class = self.question.class;
        q.write_packet();
        q
    }

    /// Makes the message that would have brought this query.
    fn write_packet(&mut self) {
        let mut push = |n: u16| self.packet.extend_from_slice(&n.to_be_bytes());
        [self.id, self.flags, 1, 0, 0, u16::from(self.edns.is_some())].into_iter().for_each(&mut push);
        self.packet.extend_from_slice(self.question.original().as_bytes());
        let mut push = |n: u16| self.packet.extend_from_slice(&n.to_be_bytes());
        [self.question.rtype.0, self.question.class.0].into_iter().for_each(&mut push);
        self.question_end = self.packet.len();
        let Some(edns) = self.edns else { return };
        let options = u16::try_from(self.edns_options.len()).unwrap_or(0);
        let flags = if edns.dnssec_ok { 0x8000 } else { 0 };
        self.packet.push(0);
        let mut push = |n: u16| self.packet.extend_from_slice(&n.to_be_bytes());
        [RecordType::OPT.0, edns.size, u16::from(edns.version), flags, options].into_iter().for_each(&mut push);
        self.packet.extend_from_slice(&self.edns_options[..options.into()]);
    }
}
