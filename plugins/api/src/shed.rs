//! Work that was refused or dropped because there was too much of it: by the server's own limits, and by the directive `shed`.

use crate::metrics::CounterFamily;

/// Labels: why, and the listener (`dns://:53`), empty for what belongs to none. The reasons are listed in the README.
pub static DROPPED: CounterFamily = CounterFamily::new(
    "coredns_shed_dropped_total",
    "Counter of queries, replies and connections that were dropped or refused because there were too many, by reason.",
    &["reason", "server"],
);
