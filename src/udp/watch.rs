//! Files that the runtime watches for some events only.
//!
//! Why unsafe code: the runtime wants it promised that a file stays open for as long as it is watched, and has no safe way but to watch it
//! for all events.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime of this thread watch a file for `interest`.
///
/// # Errors
/// The system cannot watch it.
#[expect(unsafe_code, reason = "the runtime's only way to watch a file for some events only")]
pub fn watch(file: Rc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Rc<OwnedFd>>> {
    // SAFETY: a file that is owned is open for as long as its owner lives, and always has the same descriptor.
    unsafe { AsyncFd::register_with_interest(file, interest) }.map_err(Into::into)
}
