//! What takes the bytes.

pub mod corefile;
pub mod events;
pub mod packet;
pub mod upstream;
