//! The contract between the daemon and a plugin.

pub mod corefile;
