//! The Corefile language.
#![expect(missing_docs, reason = "stand-in")]
#[derive(Debug, Clone)]
pub struct Token {
    pub text: String,
}
#[derive(Debug)]
pub struct ConfigError(pub String);
impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl ConfigError {
    pub fn not_supported(name: &str, _t: &Token) -> Self {
        ConfigError(format!("directive '{name}' is not supported yet"))
    }
}
pub struct Cursor<'a>(pub &'a [Token]);
impl<'a> Cursor<'a> {
    pub fn new(_d: &'static str, t: &'a [Token]) -> Self {
        Cursor(t)
    }
}
#[derive(Clone)]
pub struct Source {
    pub name: String,
    pub text: Vec<u8>,
}
impl Source {
    pub fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        Source { name: name.into(), text: text.as_ref().to_vec() }
    }
}
#[derive(PartialEq, Clone, Copy)]
pub enum Transport {
    Dns,
}
pub struct Key {
    pub transport: Transport,
    pub zone: String,
    pub port: u16,
}
pub struct ServerBlock {
    pub keys: Vec<Key>,
    pub tokens: Vec<(String, Vec<Token>)>,
}
impl ServerBlock {
    pub fn directive(&self, n: &str) -> Option<&[Token]> {
        self.tokens.iter().find(|t| t.0 == n).map(|t| &t.1[..])
    }
}
pub struct Corefile {
    pub blocks: Vec<ServerBlock>,
    pub warnings: Vec<String>,
}
impl Corefile {
    pub fn parse(
        s: &Source,
        port: &str,
        _k: &dyn Fn(&str) -> bool,
        _e: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Corefile, Vec<ConfigError>> {
        let t = String::from_utf8_lossy(&s.text).into_owned();
        let mut tokens = Vec::new();
        for l in t.lines().skip(1) {
            let w = l.split_whitespace().map(|w| Token { text: w.into() }).collect::<Vec<_>>();
            if w.len() > 0 && w[0].text != "}" {
                tokens.push((w[0].text.clone(), w));
            }
        }
        Ok(Corefile {
            blocks: vec![ServerBlock {
                keys: vec![Key { transport: Transport::Dns, zone: ".".into(), port: port.parse().unwrap_or(53) }],
                tokens,
            }],
            warnings: vec![],
        })
    }
    pub fn hash(&self) -> String {
        String::new()
    }
}
pub struct Claim<'a> {
    pub key: &'a Key,
    pub bind: Option<&'a [String]>,
    pub filtered: bool,
}
pub fn check_overlaps<'a>(_c: impl Iterator<Item = Claim<'a>>) -> Result<(), Vec<ConfigError>> {
    Ok(())
}
