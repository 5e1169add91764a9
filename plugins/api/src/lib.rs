//! The contract between the daemon and a plugin.
//!
//! Start at [`Plugin`] and [`Step`]: a query is *moved along by a loop* ([`Chain`]); a plugin never calls the next one, it says
//! where the query goes. A plugin crate exports one [`PluginDef`], whose `setup` reads the directive from a [`Setup`] and adds
//! plugins to the chain of a server block.
//!
//! | module | what it is |
//! |---|---|
//! | [`query`], [`reply`], [`name`], [`codes`], [`wire`] | the data: one query, its reply, names, numbers; these know no engine |
//! | [`explain`] | why a reply is what it is (RFC 8914) |
//! | [`chain`] | the engine; it knows no configuration |
//! | [`setup`], [`corefile`], [`gotext`] | from Corefile to plugins; values in it |
//! | [`fallthrough`], [`expression`], [`presentation`], [`resolvconf`] | a property that several plugins have; regular expressions; records in text; resolv.conf |
//! | [`expr`] | the language of conditions and values about queries, for `view` and `template` |
//! | [`inputs`] | what a configuration is made of beside its text |
//! | [`server`], [`services`] | asking the server itself; what plugins offer each other |
//! | [`task`], [`metrics`], [`clock`], [`http`] | background work, counters per thread, time, pages for the HTTP endpoints |
//! | [`traffic`] | what is counted of queries and replies |
//! | `test` | the test kit of plugins (feature `test`) |

pub mod chain;
pub mod clock;
pub mod codes;
pub mod corefile;
mod error;
pub mod explain;
pub mod expr;
pub mod expression;
pub mod fallthrough;
pub mod gotext;
pub mod http;
pub mod inputs;
pub mod lines;
pub mod metrics;
pub mod name;
pub mod presentation;
pub mod query;
pub mod reply;
pub mod resolvconf;
pub mod server;
pub mod services;
pub mod setup;
pub mod shed;
pub mod task;
#[cfg(any(test, feature = "test"))]
pub mod test;
pub mod traffic;
pub mod wire;
pub mod yaml;

pub use chain::{Chain, Link, Panics, Run};
pub use clock::Clock;
pub use codes::{Class, Opcode, Rcode, RecordType};
pub use error::{Error, os_words};
pub use explain::InfoCode;
pub use fallthrough::Fallthrough;
pub use name::{Name, NameRef};
pub use query::{Edns, Query, Question, Transport};
pub use reply::{Kind, Outcome, Owner, Record, Reply, ReplyOpt, Section};
pub use server::{PerSite, Site};
pub use setup::Setup;

use corefile::ConfigError;
use std::pin::Pin;
use std::sync::Arc;

/// Where a query goes after a plugin has seen it. Read the same on the way down and on the way up.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Down: ask the plugins below (from [`Plugin::reply`]: ask them again).
    Next,
    /// Up: the reply stands, hand it to the plugin above.
    Done,
    /// Stay: the answer needs waiting; the engine moves the query to a task and calls [`Plugin::wait`].
    Wait,
}

/// The ways on which a plugin has something to do. On the other one queries pass it by, at no cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ways {
    /// [`Plugin::query`] only.
    Down,
    /// [`Plugin::reply`] only.
    Up,
    /// Both.
    Both,
}

/// One configured directive in one server block.
pub trait Plugin: Send + Sync + 'static {
    /// Which of [`Plugin::query`] and [`Plugin::reply`] are called; always the same.
    fn ways(&self) -> Ways {
        Ways::Down
    }

    /// Sees a query on its way down. Runs on the socket's thread: must neither block nor wait.
    ///
    /// # Errors
    /// The query is answered SERVFAIL, or with the error's code; `errors` logs it.
    fn query(&self, _q: &mut Query) -> Result<Step> {
        Ok(Step::Next)
    }

    /// Does what [`Plugin::query`] or [`Plugin::reply`] could not do without waiting.
    fn wait<'a>(&'a self, _q: &'a mut Query) -> Waiting<'a> {
        unreachable!("a plugin that returns Step::Wait has a `wait` of its own")
    }

    /// Sees the reply on its way up, the lowest plugin first.
    ///
    /// # Errors
    /// As for [`Plugin::query`].
    fn reply(&self, _q: &mut Query) -> Result<Step> {
        Ok(Step::Done)
    }

    /// Whether `/ready` may say OK.
    fn ready(&self) -> bool {
        true
    }

    /// The code to answer where this plugin is the last one and has passed the query on; `None` is SERVFAIL with an error.
    fn unanswered(&self, _q: &Query) -> Option<Rcode> {
        None
    }
}

/// A plugin that others hold on to as well.
impl<P: Plugin> Plugin for Arc<P> {
    fn ways(&self) -> Ways {
        (**self).ways()
    }

    fn query(&self, q: &mut Query) -> Result<Step> {
        (**self).query(q)
    }

    fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
        (**self).wait(q)
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        (**self).reply(q)
    }

    fn ready(&self) -> bool {
        (**self).ready()
    }

    fn unanswered(&self, q: &Query) -> Option<Rcode> {
        (**self).unanswered(q)
    }
}

/// What a plugin does while a query waits. The only boxed future on the data path.
pub type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Step>> + Send + 'a>>;

/// What a plugin crate exports: `pub static PLUGIN: PluginDef`.
#[derive(Clone, Copy)]
pub struct PluginDef {
    /// The directive in the Corefile; also crate, folder, metric subsystem and log prefix.
    pub name: &'static str,
    /// What may begin a line of its block in braces: for what is said of one that is misspelt.
    pub properties: &'static [&'static str],
    /// Its metrics: those without labels are on the page from the start, whether or not the directive is used.
    pub metrics: &'static [&'static dyn metrics::Metric],
    /// Reads every line of the directive in one server block.
    pub setup: fn(&mut Setup<'_>) -> Result<(), ConfigError>,
}

/// The result of what can fail while a query is answered.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;
