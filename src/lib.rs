//! poddns: the DNS server of a Kubernetes cluster.
//!
//! # The life of a query
//!
//! ```text
//! socket ─► admit ─► route ─► chain: down (query) … answer … up (reply) ─► seal ─► socket
//!                                │
//!                                └─ Wait: the query moves to a lane, and goes on there
//! ```
//!
//! A worker ([`worker`]) has its own sockets ([`udp`], [`tcp`]). What it reads is checked ([`admit`]), given to the server
//! block that serves the name ([`route`]), taken through the block's plugins (`api::chain`), made to fit ([`seal`]) and sent. A
//! query that has to wait goes on in a lane ([`waiting`]) of the same worker; connections to upstreams are held beside ([`beside`]).
//!
//! # The stages of a start
//!
//! Flags ([`cli`]), the Corefile ([`source`]), set-up of all directives ([`block`], [`instance`]), HTTP pages ([`http`]),
//! background work ([`tasks`]), sockets ([`sockets`]), workers: [`boot`] and [`running`], which also reloads and stops.

mod admit;
mod advice;
mod beside;
mod block;
mod boot;
mod check;
mod cli;
mod clients;
mod fallback;
mod hints;
mod http;
pub mod inprocess;
mod instance;
mod listeners;
mod memory;
mod metrics;
mod output;
mod panics;
#[doc(hidden)]
pub mod parts;
pub mod plugins;
mod route;
mod running;
mod seal;
mod signals;
mod sockets;
mod source;
mod tasks;
mod tcp;
mod udp;
mod waiting;
mod wake;
mod worker;

pub use boot::run;
pub use udp::batch; // for the benchmark `speed`, whose echo does the same system calls
