//! The kubernetes directive: names of a cluster's services, endpoints and pods, answered from a live index.
#![expect(dead_code, reason = "the parts that use the index come next")]

mod connect;
mod index;
mod manifests;
mod metrics;
mod objects;
mod selector;
mod watch;
