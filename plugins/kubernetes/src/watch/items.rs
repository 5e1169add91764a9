//! Cutting a list into its objects while it is read, so that no more than one of them is in memory.

use memchr::memchr2;

/// Takes the octets of a list in pieces of any size.
///
/// A list is a JSON object with the array `items`. Its objects are returned one by one; what is around them, the frame, is kept.
/// Only as much of JSON is looked at as it takes to find where an object ends: whoever reads objects and frame finds the rest.
#[derive(Default)]
pub struct Items {
    frame: Vec<u8>,
    /// The beginning of an object whose end has not come yet.
    object: Vec<u8>,
    depth: u32,
    string: Option<Escape>,
    /// Where in the frame the last string at its outermost level begins.
    last: usize,
    in_items: bool,
}

/// Inside of a string: whether the next octet stands for itself.
#[derive(Clone, Copy)]
struct Escape(bool);

impl Items {
    /// Reads on, and calls `each` with every object that ends in `data`.
    ///
    /// # Errors
    /// Those of `each`, and an object or a frame that is too large.
    pub fn feed<E: From<TooLarge>>(
        &mut self,
        data: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // Where in `data` the present object begins, if it does.
        let mut begin = 0;
        let mut next = 0;
        while let Some(&octet) = data.get(next) {
            let at = next;
            let inside = self.in_object();
            self.step(octet);
            match (inside, self.in_object()) {
                (false, true) => begin = at,
                (true, false) if self.object.is_empty() => each(&data[begin..=at])?,
                (true, false) => {
                    self.object.extend_from_slice(&data[..=at]);
                    each(&self.object)?;
                    self.give_back();
                }
                (true, true) => (),
                // Without their objects, the commas between them have no place in the frame.
                (false, false) if octet == b',' && self.in_items && self.depth == 2 => (),
                (false, false) => self.frame.push(octet),
            }
            next += 1 + self.dull(&data[at + 1..]);
        }
        if self.in_object() {
            self.object.extend_from_slice(&data[begin..]);
        }
        if self.object.len() > MAX_OBJECT || self.frame.len() > MAX_FRAME { Err(TooLarge.into()) } else { Ok(()) }
    }

    /// The list without its objects, to be read as JSON: that it is complete is seen then.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    fn in_object(&self) -> bool {
        self.in_items && self.depth > 2
    }

    /// How many octets ahead change nothing: those inside of a string of an object.
    fn dull(&self, ahead: &[u8]) -> usize {
        match self.string {
            Some(Escape(false)) if self.in_object() => memchr2(b'"', b'\\', ahead).unwrap_or(ahead.len()),
            _ => 0,
        }
    }

    fn step(&mut self, octet: u8) {
        if let Some(Escape(escaped)) = self.string {
            self.string = match octet {
                b'"' if !escaped => None,
                _ => Some(Escape(octet == b'\\' && !escaped)),
            };
            return;
        }
        match octet {
            b'"' => {
                self.string = Some(Escape(false));
                if self.depth == 1 {
                    self.last = self.frame.len();
                }
            }
            b'{' | b'[' => {
                self.in_items |= self.depth == 1 && octet == b'[' && self.frame[self.last..].starts_with(b"\"items\"");
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.in_items &= self.depth > 1;
            }
            _ => (),
        }
    }

    /// Drops an object that was returned, and the memory that a large one took.
    fn give_back(&mut self) {
        self.object.clear();
        self.object.shrink_to(KEPT);
    }
}

/// An object or the frame of a list is larger than anything that an API server sends.
#[derive(Debug)]
pub struct TooLarge;

/// Octets of one object. etcd takes objects of up to 1.5 MiB, which JSON may make larger.
const MAX_OBJECT: usize = 16 << 20;
/// Octets around the objects of a list.
const MAX_FRAME: usize = 1 << 20;
/// Octets of buffer that are kept between objects.
const KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects and frame of a list that comes in pieces of `size` octets.
    fn cut(list: &str, size: usize) -> (Vec<String>, String) {
        let (mut items, mut objects) = (Items::default(), Vec::new());
        for piece in list.as_bytes().chunks(size) {
            let each = |object: &[u8]| {
                objects.push(String::from_utf8(object.to_vec()).unwrap());
                Ok::<(), TooLarge>(())
            };
            items.feed(piece, each).unwrap();
        }
        (objects, String::from_utf8(items.frame().to_vec()).unwrap())
    }

    #[test]
    fn objects_are_found_wherever_a_piece_ends() {
        let list = r#"{"kind":"items","x":["items",[{}]], "metadata":{"items":[1],"continue":"\"]}"},
            "items" : [ {"a":"]}\\\"}{[","b":[{"items":[{}]}]}, {"c":1},{} ] ,"end":[{"no":1}]}"#;
        for size in 1..list.len() {
            let (objects, frame) = cut(list, size);
            assert_eq!(objects, [r#"{"a":"]}\\\"}{[","b":[{"items":[{}]}]}"#, r#"{"c":1}"#, "{}"], "{size}");
            assert!(frame.ends_with(r#" ] ,"end":[{"no":1}]}"#), "{frame}");
            assert!(frame.starts_with(r#"{"kind":"items","x":["items",[{}]], "metadata":{"items":[1],"#), "{frame}");
        }
    }

    #[test]
    fn nonsense_is_left_to_who_reads_it() {
        for text in
            ["", "[]", "{\"items\":null}", "}}]]{", "{\"items\":[[", "\"", "{\"items\":[{\"a", "\u{0}", "[\"items\"[{"]
        {
            let (objects, frame) = cut(text, 1);
            assert!(objects.is_empty() && frame.len() <= text.len(), "{text}");
        }
    }

    #[test]
    fn there_is_a_bound() {
        let mut items = Items::default();
        let mut feed = |data: &[u8]| items.feed(data, |_| Ok::<(), TooLarge>(()));
        feed(b"{\"items\":[{\"a\":\"").unwrap();
        assert!((0..17).any(|_| feed(&vec![b'x'; 1 << 20]).is_err()));
        assert!(Items::default().feed(&vec![b'x'; MAX_FRAME + 1], |_| Ok::<(), TooLarge>(())).is_err());
    }
}
