//! Memory in huge pages, where nearly all of it is used anyway.
//!
//! The index of a large cluster and the entries of a cache are read at random places. Each look at a page of 4 KiB whose address the CPU
//! does not know by heart costs a walk through the page tables, in a virtual machine through two of them at once: longer than all that
//! a look-up does besides. A page of 2 MiB is one address for 512. The system makes such pages of itself only where it is set up to do
//! so for all programs, and then also of memory that is hardly used. We ask for them block by block (`MADV_COLLAPSE`, Linux 6.1),
//! and only for those that are nearly full: what the process takes grows by a quarter of them at most.
#![expect(unsafe_code, reason = "system calls about memory without a safe wrapper; neither changes what stands in it")]

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Duration;

/// Octets of a huge page, on x86-64, and on aarch64 with pages of 4 KiB.
const BLOCK: usize = 2 << 20;
/// Octets of other pages.
const PAGE: usize = 4 << 10;
/// Pages that have to be used in a block, for it to be worth one.
const NEARLY_ALL: usize = BLOCK / PAGE * 3 / 4;
/// How often we look for such blocks; and the pause between two, for each takes 1 ms, or 10 where all CPUs are busy.
const PAUSE: Duration = Duration::from_secs(5);
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// Sees to it from now on that memory is in huge pages where that is worth it, and the system has some.
pub async fn keep_in_huge_pages() -> Infallible {
    let (mut blocks, mut pause) = (Blocks::default(), PAUSE);
    loop {
        tokio::time::sleep(pause).await;
        pause = match blocks.look() {
            Ok(true) => SHORT_PAUSE,
            Ok(false) => PAUSE,
            Err(e) => {
                tracing::debug!("no huge pages: {}", api::os_words(&e));
                return pending().await;
            }
        };
    }
}

/// The blocks of this process's memory.
#[derive(Default)]
struct Blocks {
    /// Those that are huge pages, by their first address.
    huge: HashSet<usize>,
}

impl Blocks {
    /// Makes a huge page of a block that is nearly full; returns whether there was one.
    ///
    /// # Errors
    /// The system has none, or does not tell what memory there is.
    fn look(&mut self) -> io::Result<bool> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        let all: HashSet<usize> = maps.lines().filter_map(heap).flat_map(blocks).collect();
        self.huge.retain(|block| all.contains(block));
        for &block in &all {
            if self.huge.contains(&block) || used(block)? < NEARLY_ALL {
                continue;
            }
            match collapse(block) {
                Ok(()) => return Ok(self.huge.insert(block)),
                Err(e) if e.kind() == ErrorKind::InvalidInput => return Err(e),
                Err(_) => (), // the system has no room for it at the moment
            }
        }
        Ok(false)
    }
}

/// The addresses of memory for what is allocated, in a line of `/proc/self/maps`; `None` for files, stacks and the like.
fn heap(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (begin, end) = fields.next()?.split_once('-')?;
    let is_private = fields.next()? == "rw-p";
    let (_offset, _device) = (fields.next()?, fields.next()?);
    let is_no_file = fields.next()? == "0" && matches!(fields.next(), None | Some("[heap]"));
    let address = |digits| usize::from_str_radix(digits, 16).ok();
    (is_private && is_no_file).then_some(address(begin)?..address(end)?)
}

/// The blocks that lie in a range as a whole, by their first address.
fn blocks(Range { start, end }: Range<usize>) -> impl Iterator<Item = usize> {
    (start.next_multiple_of(BLOCK)..end).step_by(BLOCK).filter(move |block| end - block >= BLOCK)
}

/// How many pages of a block are used.
fn used(block: usize) -> io::Result<usize> {
    let mut pages = [0_u8; BLOCK / PAGE];
    // SAFETY: the call only looks at the range, whatever is there, and writes an octet for each of its pages.
    let done = unsafe { libc::mincore(block as *mut _, BLOCK, pages.as_mut_ptr()) };
    match done {
        0 => Ok(pages.iter().filter(|&&page| page & 1 != 0).count()),
        _ if io::Error::last_os_error().raw_os_error() == Some(libc::ENOMEM) => Ok(0), // it is there no longer
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes a block a huge page.
fn collapse(block: usize) -> io::Result<()> {
    // SAFETY: the call changes where memory is, but not what stands in it.
    let done = unsafe { libc::madvise(block as *mut _, BLOCK, libc::MADV_COLLAPSE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_told_from_files_and_stacks() {
        let heaps = [
            "55d0c0a00000-55d0c0e21000 rw-p 00000000 00:00 0                          [heap]",
            "7f3a14000000-7f3a14221000 rw-p 00000000 00:00 0 ",
        ];
        assert_eq!(heaps.map(heap), [Some(0x55d0c0a00000..0x55d0c0e21000), Some(0x7f3a14000000..0x7f3a14221000)]);
        let others = [
            "7ffc1c0f1000-7ffc1c112000 rw-p 00000000 00:00 0                          [stack]",
            "7f3a14221000-7f3a18000000 ---p 00000000 00:00 0 ",
            "55d0bf7c3000-55d0bf7d1000 rw-p 00c14000 fe:00 1180131                    /coredns",
            "7f3a14000000-7f3a14221000 rw-s 00000000 00:00 0 ",
            "",
        ];
        assert_eq!(others.map(heap), [const { None }; 5]);
    }

    #[test]
    fn a_block_lies_in_its_range() {
        let of = |range| blocks(range).collect::<Vec<_>>();
        assert_eq!(of(0..BLOCK), [0]);
        assert_eq!(of(1..3 * BLOCK - 1), [BLOCK]);
        assert_eq!(of(BLOCK..3 * BLOCK), [BLOCK, 2 * BLOCK]);
        assert_eq!((of(1..BLOCK), of(BLOCK + 1..BLOCK + 2)), (vec![], vec![]));
    }

    #[test]
    fn what_is_full_becomes_huge_and_stays_as_it_is() {
        let full: Vec<usize> = (0..4 * BLOCK / size_of::<usize>()).collect();
        let range = full.as_ptr_range();
        let ours: Vec<usize> = blocks(range.start as usize..range.end as usize).collect();
        let mut all = Blocks::default();
        for _ in 0..100 {
            if let Err(e) = all.look() {
                return assert_eq!(e.kind(), ErrorKind::InvalidInput, "this system has none: {e}");
            }
        }
        assert!(ours.len() >= 3 && ours.iter().all(|block| all.huge.contains(block)), "{ours:x?}");
        assert!(full.iter().enumerate().all(|(i, n)| i == *n));
    }

    #[test]
    fn what_is_hardly_used_takes_no_more_memory() {
        let mut sparse: Vec<u8> = Vec::with_capacity(4 * BLOCK);
        sparse.resize(BLOCK / 4, 1);
        let range = sparse.as_ptr() as usize..sparse.as_ptr() as usize + sparse.capacity();
        let pages = || blocks(range.clone()).map(|block| used(block).expect("told")).sum::<usize>();
        let before = pages();
        assert!(before < NEARLY_ALL, "{before}");
        let mut others = Blocks::default();
        while let Ok(true) = others.look() {}
        assert_eq!(pages(), before);
    }
}
