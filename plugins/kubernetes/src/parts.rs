//! For the benchmark `instructions`: the look-up of a service by its name, without a server around it.

use crate::index::{Index, Kind, Options};
use crate::watch::{Record, Target};
use std::sync::Arc;
use std::time::Duration;

/// Services in an index.
pub struct Services(Arc<Index>);

impl Services {
    /// Those that `objects` are, each as the API server has it in JSON.
    ///
    /// # Errors
    /// One of them is not JSON.
    pub fn read<'a>(objects: impl IntoIterator<Item = &'a str>) -> serde_json::Result<Services> {
        let (index, mut writer) = Index::new(&[Kind::Service], Options::default());
        let mut record = Record::default();
        let mut target =
            Target { kind: Kind::Service, writer: &mut writer, record: &mut record, now: Duration::from_secs(1) };
        objects.into_iter().try_for_each(|object| target.object(object))?;
        Ok(Services(index))
    }

    /// Whether there is one under `owner`: the labels of service and namespace, lower-case, in wire form without the root.
    pub fn knows(&self, owner: &[u8]) -> bool {
        self.0.service(owner).is_some()
    }
}
