//! What plugins of one server block offer each other, known by type (see [`crate::Setup::offer`]), and what the daemon offers.

use crate::name::{Name, NameBuf, NameRef};
use crate::presentation::TextRecord;
use crate::query::Question;
use crate::reply::Reply;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Values about a query that other plugins can print or compare: `{/kubernetes/namespace}` in `log`, for example.
///
/// Every plugin that knows such values offers an `Arc<dyn Metadata>`; they are asked in the order of the table, only where the
/// block has the directive `metadata`, and only when somebody wants the value: see [`crate::Query::metadata`].
pub trait Metadata: Send + Sync {
    /// The value for `label` (`plugin/name`), which may be empty; `None` where this plugin does not know the label or has no
    /// value. It is that of the query as it came in ([`crate::Query::asked_question`]), whatever plugins have made of it since.
    fn value(&self, q: &crate::Query, label: &str) -> Option<String>;
}

/// Names that a plugin answers from a state that it follows: a cache above it neither keeps its replies (they are marked, see
/// [`crate::Reply::set_live`]) nor hides what has become known since other plugins were asked.
///
/// Every such plugin offers an `Arc<dyn Live>`.
pub trait Live: Send + Sync {
    /// Whether the plugin, asked now, would answer the query by itself and not pass it on.
    fn answers(&self, q: &crate::Query) -> bool;
}

/// Names under which services are found from outside of their cluster.
///
/// The plugin that follows a cluster offers an `Arc<dyn External>`.
pub trait External: Send + Sync {
    /// Writes the records that answer `asked` into `reply`, which is begun and empty.
    fn answer(&self, asked: &ExternalName<'_>, reply: &mut Reply) -> ExternalAnswer;

    /// Whether the name exists, as [`External::answer`] would find.
    fn knows(&self, asked: &ExternalName<'_>) -> bool;

    /// The records of all services, for a copy of a zone; made as they are taken.
    fn records(&self, zone: &ExternalZone<'_>) -> ZoneRecords;

    /// The addresses of this server as they are seen from outside: those of the services in front of it, else its own.
    fn servers(&self, endpoints: Endpoints) -> Vec<IpAddr>;

    /// Unix time of the last change, 0 before the first.
    fn serial(&self) -> u32;

    /// TTL of records that lead to a name, in seconds.
    fn ttl(&self) -> u32;
}

/// A question for a name below a zone of such names: `SERVICE.NAMESPACE`, an endpoint or port and protocol in front of that, or a
/// reverse name.
pub struct ExternalName<'a> {
    /// The question.
    pub question: &'a Question,
    /// The zone, in lower case: names of services end in it.
    pub zone: NameRef<'a>,
    /// Where the zone begins in the name asked for.
    pub offset: usize,
    /// What names in PTR records end in.
    pub primary: NameRef<'a>,
    /// TTL of addresses and PTR records, in seconds.
    pub ttl: u32,
    /// Whether endpoints have names.
    pub endpoints: Endpoints,
}

/// A zone of such names.
pub struct ExternalZone<'a> {
    /// Its name, in lower case.
    pub name: NameRef<'a>,
    /// TTL of addresses, in seconds.
    pub ttl: u32,
    /// Whether endpoints have names.
    pub endpoints: Endpoints,
}

/// Whether services without addresses outside of the cluster are found by their endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Endpoints {
    Hidden,
    Shown,
}

/// How far an answer of [`External`] came.
pub enum ExternalAnswer {
    /// The reply holds all records that there are; without any, the name exists and the type does not.
    Written,
    /// The name does not exist.
    NoSuchName,
    /// The reply holds all records but those of these names, which are to be looked up.
    Hosts(Vec<Name>),
}

/// Whether anybody in the Corefile asks for names of [`External`], for whoever would have to keep what they need; shared by all
/// blocks ([`crate::Setup::shared`]), and set before the plugins that offer the names are set up.
#[derive(Default)]
pub struct ExternalWanted(AtomicBool);

impl ExternalWanted {
    /// Notes that somebody asks.
    pub fn set(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether somebody asks.
    pub fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Knows in which domains a client's resolver looks for a name that is not complete.
///
/// Every plugin that knows that of some clients offers an `Arc<dyn SearchPath>`.
pub trait SearchPath: Send + Sync {
    /// The directive that is asked.
    fn directive(&self) -> &'static str;

    /// Domain number `number` of `client`'s search path, from 0, in lower case; `None` behind the last one. Of the client's first
    /// domains, if there are several, the one is meant that `name`, the lower-case name asked for, is in. `None` is also for
    /// clients and names of which nothing is known.
    fn domain<'a>(
        &'a self,
        client: IpAddr,
        name: NameRef<'_>,
        number: usize,
        space: &'a mut NameBuf,
    ) -> Option<NameRef<'a>>;

    /// What the Corefile would have to say for any path to be known, if it does not say it.
    fn lacks(&self) -> Option<&'static str> {
        None
    }
}

/// Zones that other servers may copy (RFC 5936).
///
/// Every plugin that has such zones offers an `Arc<dyn Transfer>`; who may copy them is for the directive `transfer` to say.
pub trait Transfer: Send + Sync {
    /// The records of `zone`, a lower-case name: its SOA, all others, the SOA again. Where `serial`, that of the copy that the
    /// other server has, is not 0 and shows that it has the zone as it is: the SOA alone. `None` where the plugin does not have
    /// the zone.
    ///
    /// Records are made as they are taken, so that a large zone takes no memory.
    fn transfer(&self, zone: NameRef<'_>, serial: u32) -> Option<ZoneRecords>;
}

/// Records of a zone, in the order in which they are sent.
pub type ZoneRecords = Box<dyn Iterator<Item = TextRecord> + Send>;

/// Tells other servers that a zone has changed (RFC 1996).
///
/// The directive `transfer` offers an `Arc<dyn Announce>`, and knows whom to tell.
pub trait Announce: Send + Sync {
    /// The zone has changed, or is served from now on. Does not wait for anything.
    fn changed(&self, zone: NameRef<'_>);
}

/// The daemon's part of a reload; the directive `reload` decides when.
pub trait Reload: Send + Sync {
    /// The hash of the configuration that runs, in hex.
    fn running(&self) -> String;

    /// Reads the configuration again, and looks at what else it is made of ([`Setup::depends_on`](crate::Setup::depends_on)),
    /// without changing anything. What blocks is done on another thread, in bounded time.
    fn look(&self) -> Pin<Box<dyn Future<Output = Seen> + Send + '_>>;

    /// How often the configuration has been exchanged; 0 for the one of the start.
    fn generation(&self) -> u64;

    /// Reads the configuration again and serves it from now on. The daemon counts failures, and logs begin and end where this is
    /// not another attempt.
    ///
    /// With a success the work of the old configuration ends, also that which waits for this.
    ///
    /// # Errors
    /// Why nothing has changed.
    fn reload(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// What a look at the configuration finds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// What runs.
    Running,
    /// Something else, told from others by this text.
    Changed(String),
    /// Something that can be neither read nor parsed; why.
    Broken(String),
}

/// Whether the same configuration was to be served before, and could not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// It was not.
    First,
    /// It was: its cause may have passed.
    Again,
}
