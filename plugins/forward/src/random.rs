//! Random numbers that nobody can guess, and cheap enough for each query: message IDs, and the choice of an upstream.

use std::cell::RefCell;

/// Octets that are fetched from the system at once.
const BLOCK: usize = 256;

struct Block {
    octets: [u8; BLOCK],
    used: usize,
}

thread_local! {
    static BLOCK_OF_THREAD: RefCell<Block> = const { RefCell::new(Block { octets: [0; BLOCK], used: BLOCK }) };
}

/// A number from the system's generator.
///
/// # Errors
/// The system has none.
pub fn number() -> Result<u16, getrandom::Error> {
    BLOCK_OF_THREAD.with_borrow_mut(|block| {
        if block.used + 2 > BLOCK {
            getrandom::fill(&mut block.octets)?;
            block.used = 0;
        }
        let number = [block.octets[block.used], block.octets[block.used + 1]];
        block.used += 2;
        Ok(u16::from_be_bytes(number))
    })
}

/// A number below `end`, which is not 0; where the system has no random numbers, 0.
pub fn below(end: usize) -> usize {
    let number = number().map_or(0, usize::from);
    (number * end) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_stay_below_the_limit() {
        let numbers: std::collections::HashSet<u16> =
            (0..1000).map(|_| number().expect("the system's generator")).collect();
        assert!(numbers.len() > 900, "{}", numbers.len());
        assert!((0..1000).all(|_| below(3) < 3));
        assert!((0..3).all(|n| (0..1000).any(|_| below(3) == n)));
    }
}
