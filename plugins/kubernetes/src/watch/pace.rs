//! How long things take, how often they are done and how much at a time, while everything is as it should be.

use std::time::Duration;

/// The periods of what keeps a kind fresh. Each is varied by up to a fifth, so that many servers do not ask in one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    /// The API server is asked to end a watch after this time. It sends a bookmark two seconds earlier: a watch that neither
    /// tells that nor ends is dead.
    pub watch: Duration,
    /// The same for the watch after a dead one, which is to show soon that it is alive.
    pub trial: Duration,
    /// How much later than asked for a watch may end.
    pub grace: Duration,
    /// Between two looks at the number of objects.
    pub count: Duration,
    /// Between looks after a number that differs.
    pub recount: Duration,
    /// Between two comparisons of all names and versions (`resync`); zero for none.
    pub resync: Duration,
    /// How far behind a list a watch may be without being wrong.
    pub lag: Duration,
    /// A body that stops for this long has broken off.
    pub stall: Duration,
    /// Objects in a page of a list. Pages are read object by object; what a page costs is borne by the API server.
    pub page: u32,
}

impl Pace {
    /// That of a server, which compares all versions after each `resync`.
    pub const fn new(resync: Duration) -> Pace {
        Pace {
            watch: Duration::from_secs(35),
            trial: Duration::from_secs(5),
            grace: Duration::from_secs(3),
            count: Duration::from_secs(30),
            recount: Duration::from_secs(2),
            resync,
            lag: Duration::from_secs(5),
            stall: Duration::from_secs(15),
            page: 500,
        }
    }
}

/// How often all names and versions are compared where the Corefile does not say: every five minutes.
pub const RESYNC: Duration = Duration::from_secs(300);
