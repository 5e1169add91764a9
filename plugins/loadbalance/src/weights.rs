//! The file of weights: what it says, and reading it again.

use api::gotext::{self, quote};
use api::task::Stop;
use api::{Name, NameRef, Result};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The weights of the addresses of names.
#[derive(Default, Debug)]
pub struct Weights(HashMap<Box<[u8]>, OfName, foldhash::fast::RandomState>);

type OfName = HashMap<IpAddr, u8, foldhash::fast::RandomState>;

impl Weights {
    /// The weight of an address of a name in lower case; `None` where the file says nothing.
    pub fn get(&self, name: NameRef<'_>, address: IpAddr) -> Option<u8> {
        self.0.get(name.as_bytes())?.get(&address).copied()
    }

    /// Reads lines of a name, each followed by lines of an address and a weight from 1 to 255. Empty lines and those that begin
    /// with `#` say nothing. Of two weights of an address the first one counts.
    ///
    /// # Errors
    /// Any other line, in CoreDNS's words, with `path`.
    pub fn parse(text: &[u8], path: &str) -> Result<Weights, String> {
        let mut weights = Weights::default();
        // The name of the lines that follow: nothing yet, or one that no record has.
        let mut name: Option<Option<Name>> = None;
        let text = String::from_utf8_lossy(text);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                [word] => name = Some(parse_name(word, path)?),
                [address, weight] => {
                    let (address, weight) = parse_weight(address, weight, path)?;
                    let name = name.as_ref().ok_or_else(|| format!("missing domain name in weight file {path}"))?;
                    if let Some(name) = name {
                        let of_name = weights.0.entry(name.as_bytes().into()).or_default();
                        of_name.entry(address).or_insert(weight);
                    }
                }
                _ => return Err(format!("could not parse weight line:{} in weight file {path}", quote(line))),
            }
        }
        Ok(weights)
    }
}

/// A name in lower case; `None`, and a warning, where it is none.
fn parse_name(word: &str, path: &str) -> Result<Option<Name>, String> {
    if word.parse::<IpAddr>().is_ok() {
        let hint = "(Maybe a missing weight value?)";
        return Err(format!("wrong domain name:\"{word}\" in weight file {path}. {hint}"));
    }
    let name = Name::from_text(word).map(|name| name.to_lower()).ok();
    if name.is_none() {
        tracing::warn!("no record has the name {} of weight file {path}", quote(word));
    }
    Ok(name)
}

fn parse_weight(address: &str, weight: &str, path: &str) -> Result<(IpAddr, u8), String> {
    let wrong_address = |_| format!("wrong IP address:\"{address}\" in weight file {path}");
    let parsed: IpAddr = address.parse().map_err(wrong_address)?;
    let number = gotext::parse_uint(weight, 255).ok().and_then(|n| u8::try_from(n).ok()).filter(|n| *n > 0);
    let number = number.ok_or_else(|| format!("wrong weight value:\"{weight}\" in weight file {path}"))?;
    Ok((parsed.to_canonical(), number))
}

/// The file, and what becomes of its content.
pub struct WeightFile {
    path: String,
    weights: Arc<ArcSwap<Weights>>,
    /// The content that was read last.
    seen: Option<Vec<u8>>,
}

/// Why weights stay as they are.
#[derive(Debug)]
pub enum Fault {
    /// The file cannot be opened: it may come later. With the reason.
    Open(String),
    /// It cannot be read or says what it must not, in CoreDNS's words.
    Content(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Open(_) => f.write_str("weight file open error"),
            Fault::Content(why) => f.write_str(why),
        }
    }
}

impl WeightFile {
    /// A file that has not been read.
    pub fn new(path: String) -> WeightFile {
        WeightFile { path, weights: Arc::default(), seen: None }
    }

    /// Where the weights are.
    pub fn weights(&self) -> Arc<ArcSwap<Weights>> {
        self.weights.clone()
    }

    /// Reads the file, and takes over the weights if it says something new.
    ///
    /// # Errors
    /// The weights stay as they are.
    pub fn refresh(&mut self) -> Result<(), Fault> {
        let path = &self.path;
        let mut file = File::open(path).map_err(|e| Fault::Open(format!("open {path}: {}", api::os_words(&e))))?;
        let mut text = Vec::new();
        let unreadable = |e| Fault::Content(format!("read {path}: {}", api::os_words(&e)));
        file.read_to_end(&mut text).map_err(unreadable)?;
        if self.seen.as_ref() == Some(&text) {
            return Ok(());
        }
        self.weights.store(Arc::new(Weights::parse(&text, path).map_err(Fault::Content)?));
        if self.seen.replace(text).is_some() {
            tracing::info!("Successfully reloaded weight file {path}");
        }
        Ok(())
    }

    /// Reads the file every `interval` until `stop`; what is wrong with it is said once.
    pub async fn watch(mut self, interval: Duration, mut stop: Stop) -> Result {
        let mut told = String::new();
        while stop.or(tokio::time::sleep(interval)).await.is_some() {
            let fault = match self.refresh() {
                Ok(()) => String::new(),
                Err(Fault::Open(why)) => why,
                Err(Fault::Content(why)) => why,
            };
            if fault != told && !fault.is_empty() {
                tracing::error!("{fault}; weights stay as they are");
            }
            told = fault;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn grammar() {
        let text = "\n# weights\n A.Example \n10.0.0.1 3\n::ffff:10.0.0.2\t255\n10.0.0.1 9\nweb..org\n10.0.0.1 1\n\
                    b.example.\na.example\n10.0.0.9 1\n";
        let weights = Weights::parse(text.as_bytes(), "w").unwrap();
        let name = Name::from_text("a.example").unwrap();
        for (address, want) in
            [("10.0.0.1", Some(3)), ("10.0.0.2", Some(255)), ("10.0.0.9", Some(1)), ("10.0.0.8", None)]
        {
            assert_eq!(weights.get(name.as_ref(), address.parse().unwrap()), want, "{address}");
        }
        for (text, want) in [
            ("a.test\n10.0.0.1 256", "wrong weight value:\"256\" in weight file w"),
            ("a.test\n10.0.0.1 +1", "wrong weight value:\"+1\" in weight file w"),
            ("10.0.0.1 0", "wrong weight value:\"0\" in weight file w"),
            ("10.0.0.1 3", "missing domain name in weight file w"),
            ("x 3", "wrong IP address:\"x\" in weight file w"),
            ("::1", "wrong domain name:\"::1\" in weight file w. (Maybe a missing weight value?)"),
            ("a b c", "could not parse weight line:\"a b c\" in weight file w"),
        ] {
            assert_eq!(Weights::parse(text.as_bytes(), "w").unwrap_err(), want);
        }
    }

    #[test]
    fn a_broken_file_leaves_the_weights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        let mut file = WeightFile::new(path.display().to_string());
        let weights = file.weights();
        let name = Name::from_text("a.test").unwrap();
        let weight = || weights.load().get(name.as_ref(), "10.0.0.1".parse().unwrap());
        assert!(matches!(file.refresh(), Err(Fault::Open(_))));
        for (text, good, want) in [("a.test\n10.0.0.1 3", true, 3), ("x 3", false, 3), ("a.test\n10.0.0.1 4", true, 4)]
        {
            fs::write(&path, text).unwrap();
            assert_eq!((file.refresh().is_ok(), weight()), (good, Some(want)), "{text}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(file.refresh().unwrap_err().to_string(), "weight file open error");
        assert_eq!(weight(), Some(4));
    }
}
