//! Mutations of seeds, the same for the same number at the start.

/// A source of mutations.
pub struct Mutator(u64);

/// Octets that often matter: lengths at limits, compression pointers, braces, quotes.
const TELLING: &[u8] =
    &[0, 1, 2, 11, 12, 13, 41, 63, 64, 127, 128, 191, 192, 193, 254, 255, b'{', b'}', b'"', b'\\', b'\n', b' ', b':'];

impl Mutator {
    /// A source that begins with `seed`.
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A seed with a few changes, of at most `max` octets.
    pub fn mutate(&mut self, seeds: &[Vec<u8>], max: usize) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input, seeds);
        }
        input.truncate(max);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let some = 1 + self.below(16);
        let end = (at + some).min(input.len());
        match self.below(8) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            3 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let piece = other[from..(from + some * 4).min(other.len())].to_vec();
                input.splice(at..end, piece);
            }
            4 => input.insert(at, TELLING[self.below(TELLING.len())]),
            5 if at < input.len() => input[at] = TELLING[self.below(TELLING.len())],
            6 if at < input.len() => input[at] ^= 1 << self.below(8),
            _ if at < input.len() => input[at] = self.next() as u8,
            _ => (),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// xorshift64*
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
