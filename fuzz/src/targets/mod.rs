//! What takes the bytes.

pub mod corefile;
pub mod events;
pub mod expressions;
pub mod hostile;
pub mod packet;
pub mod stream;
pub mod upstream;
