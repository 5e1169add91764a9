//! What is counted.

use api::metrics::{Counter, CounterFamily, Metric};
use std::sync::LazyLock;

/// All of them, for the directive's definition.
pub static ALL: &[&dyn Metric] = &[&TRANSFERS, &NOTIFICATIONS];

static TRANSFERS: CounterFamily =
    CounterFamily::new("coredns_transfer_transfers_total", "Counter of zone transfers by their end.", &["result"]);
static NOTIFICATIONS: CounterFamily = CounterFamily::new(
    "coredns_transfer_notifications_total",
    "Counter of notifications of other servers by what came of them.",
    &["result"],
);

/// Zones that were sent whole.
pub static SENT: LazyLock<Counter> = LazyLock::new(|| TRANSFERS.with(&["sent"]));
/// Zones that the client had as they are.
pub static CURRENT: LazyLock<Counter> = LazyLock::new(|| TRANSFERS.with(&["current"]));
/// Clients that may not have the zone.
pub static REFUSED: LazyLock<Counter> = LazyLock::new(|| TRANSFERS.with(&["refused"]));
/// Transfers over the limit.
pub static BUSY: LazyLock<Counter> = LazyLock::new(|| TRANSFERS.with(&["busy"]));

/// Servers that accepted a notification.
pub static ACCEPTED: LazyLock<Counter> = LazyLock::new(|| NOTIFICATIONS.with(&["accepted"]));
/// Servers that did not, after all tries.
pub static FAILED: LazyLock<Counter> = LazyLock::new(|| NOTIFICATIONS.with(&["failed"]));
