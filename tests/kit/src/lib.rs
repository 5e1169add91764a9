//! What surrounds a DNS server in tests: a simulated Kubernetes API server ([`Api`]), scripted upstreams ([`Upstream`]), also over
//! TLS and HTTPS ([`Secured`]), free ports ([`Port`]), clients that keep asking ([`Load`]) and DNS messages in presentation form ([`dns`]).
//!
//! Everything runs on the tokio runtime it is started from and ends when it is dropped. Only tests depend on this crate.
#![expect(clippy::disallowed_methods, reason = "a test kit has its own clock and tasks: they end with its owner")]

pub mod api;
mod client;
pub mod dns;
mod load;
mod ports;
mod secured;
pub mod upstream;

pub use api::Api;
pub use client::ask;
pub use load::{Load, Plan, Tally};
pub use ports::Port;
pub use secured::{Secured, Speaks};
pub use upstream::Upstream;
