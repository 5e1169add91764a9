//! Steps of the life of a query by themselves, for the benchmark `instructions`.

pub use crate::admit::{Admission, admit};
pub use crate::seal::seal;
