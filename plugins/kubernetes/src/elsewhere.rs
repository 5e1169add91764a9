//! Names that lead out of the cluster: what the server itself says about them.

use crate::Kubernetes;
use api::{Name, Query, RecordType, Result, Section, Step};

/// Left in a query: the name to look up.
pub struct Elsewhere(pub Name);

impl Kubernetes {
    /// Looks up the name that the reply's last CNAME record leads to, and adds what is found (spec 5).
    pub async fn look_elsewhere(&self, q: &mut Query) -> Result<Step> {
        let Some(Elsewhere(name)) = q.take_note() else { return Ok(Step::Done) };
        let shown = matches!(q.rtype(), RecordType::A | RecordType::AAAA);
        let rtype = if shown { q.rtype() } else { RecordType::A };
        match q.lookup(name.as_ref(), rtype).await {
            Ok(found) if shown => q.reply.push_answer_of(&found.reply, Section::Answer),
            // Types without records here are looked up for nothing but the number of queries upstream.
            Ok(_) => (),
            Err(e) => {
                tracing::debug!("{name} is not looked up: {e}");
                q.reply.drop_from(Section::Answer);
            }
        }
        if let Some((zone, offset)) = self.zones.find(q.name()) {
            self.complete(q, zone, offset);
        }
        Ok(Step::Done)
    }
}
