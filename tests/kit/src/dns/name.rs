//! Domain names: wire form inside, presentation form outside.

use super::message::Malformed;
use std::fmt::{self, Write};

/// An absolute name, uncompressed, its letters as they came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// Reads presentation form; what has no dot at its end gets one. Escapes are `\X` and `\DDD` (RFC 1035 5.1).
    ///
    /// # Errors
    /// Empty labels, labels above 63 octets, names above 255, broken escapes.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut wire = Vec::new();
        let mut label = Vec::new();
        let mut chars = text.strip_prefix('.').filter(|rest| rest.is_empty()).unwrap_or(text).bytes();
        while let Some(c) = chars.next() {
            match c {
                b'.' => push_label(&mut wire, &mut label, text)?,
                b'\\' => label.push(unescape(&mut chars).ok_or_else(|| format!("name {text}: escape"))?),
                _ => label.push(c),
            }
        }
        if !label.is_empty() {
            push_label(&mut wire, &mut label, text)?;
        }
        wire.push(0);
        (wire.len() <= 255).then_some(Self(wire)).ok_or_else(|| format!("name {text}: too long"))
    }

    /// Reads presentation form that has a dot at its end.
    ///
    /// # Errors
    /// It has none, or see [`Self::from_text`].
    pub fn absolute(text: &str) -> Result<Self, String> {
        if text.ends_with('.') { Self::from_text(text) } else { Err(format!("name {text}: no dot at its end")) }
    }

    /// The wire form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0 == [0]
    }

    /// The places in the wire form where a label starts, the root's not among them.
    pub fn labels(&self) -> impl Iterator<Item = usize> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let here = at;
            let n = usize::from(*self.0.get(here)?);
            at += n + 1;
            (n != 0).then_some(here)
        })
    }

    /// Reads the name at `at` of a message, following pointers; returns it with the place behind it.
    ///
    /// # Errors
    /// Pointers that do not point backward, unknown label types, a name that is cut or above 255 octets.
    pub(super) fn read(wire: &[u8], at: usize) -> Result<(Self, usize), Malformed> {
        let (mut out, mut here, mut end, mut floor) = (Vec::new(), at, None, at);
        loop {
            let n = usize::from(*wire.get(here).ok_or(Malformed::FormError)?);
            match n & 0xc0 {
                0 => {
                    out.extend_from_slice(wire.get(here..=here + n).ok_or(Malformed::FormError)?);
                    here += n + 1;
                    if n == 0 {
                        break;
                    }
                }
                0xc0 => {
                    let low = usize::from(*wire.get(here + 1).ok_or(Malformed::FormError)?);
                    let target = (n & 0x3f) << 8 | low;
                    if target >= floor {
                        return Err(Malformed::BadPointer);
                    }
                    end.get_or_insert(here + 2);
                    (here, floor) = (target, target);
                }
                _ => return Err(Malformed::BadLabelType),
            }
        }
        if out.len() > 255 { Err(Malformed::FormError) } else { Ok((Self(out), end.unwrap_or(here))) }
    }
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>, text: &str) -> Result<(), String> {
    if label.is_empty() || label.len() > 63 {
        return Err(format!("name {text}: a label of {} octets", label.len()));
    }
    wire.push(label.len() as u8);
    wire.append(label);
    Ok(())
}

/// What stands behind a backslash: three digits or one octet.
pub(super) fn unescape(chars: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = chars.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, chars.next()?, chars.next()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_char('.');
        }
        for at in self.labels() {
            let n = usize::from(self.0[at]);
            for &c in &self.0[at + 1..=at + n] {
                match c {
                    b'"' | b'(' | b')' | b'.' | b';' | b'\\' | b'@' | b'$' => write!(f, "\\{}", char::from(c))?,
                    0x21..=0x7e => f.write_char(c.into())?,
                    _ => write!(f, "\\{c:03}")?,
                }
            }
            f.write_char('.')?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn text_and_back() {
        for text in [".", "a.b.", r"a\.b.c\032d.\000.", r"\@\$\(\).x."] {
            assert_eq!(Name::from_text(text).expect(text).to_string(), text);
        }
        assert_eq!(Name::from_text("No.Dot").expect("a name").to_string(), "No.Dot.");
        for bad in ["a..b", ".a", r"a\", r"a\25"] {
            assert!(Name::from_text(bad).is_err(), "{bad}");
        }
    }
}
