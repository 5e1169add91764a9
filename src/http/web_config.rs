//! The file that protects HTTP endpoints: TLS, passwords, headers, a limit of requests. Prometheus's exporters read the same
//! one (exporter-toolkit's web configuration), so that one file serves all of a machine.
//!
//! It is read anew for every connection: renewed certificates and changed passwords count at once, without a reload.

use super::tls;
use api::gotext::GoDuration;
use api::{os_words, yaml};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What a file says, checked.
#[derive(Default)]
pub struct Protection {
    /// TLS, if the endpoint speaks it.
    pub tls: Option<tls::Tls>,
    /// Headers of every response.
    pub headers: HeaderMap,
    /// Names with the bcrypt hashes of their passwords; empty where nobody needs one.
    pub users: BTreeMap<String, String>,
    /// The limit of requests.
    pub limit: Option<Limit>,
}

/// A token bucket: so many requests at once, and one more after each interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Until one more request is allowed.
    pub interval: Duration,
    /// Requests at once.
    pub burst: u32,
}

impl Protection {
    /// Reads the file and all that it names; paths are relative to its folder.
    ///
    /// # Errors
    /// In words: what cannot be read, is unknown, or does not fit.
    pub fn read(path: &Path) -> Result<Protection, String> {
        let text = std::fs::read_to_string(path).map_err(|e| os_words(&e))?;
        let file: Option<WebConfig> = yaml::read(&text).map_err(|fault| fault.words)?;
        let file = file.unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new(""));
        let tls = file.tls_server_config.filter(TlsFields::is_wanted);
        for (user, hash) in &file.basic_auth_users {
            hash.parse::<bcrypt::HashParts>().map_err(|e| format!("basic_auth_users: {user}: {e}"))?;
        }
        Ok(Protection {
            tls: tls.map(|fields| tls::Tls::new(&fields, file.http_server_config.http2, folder)).transpose()?,
            headers: headers(&file.http_server_config.headers)?,
            users: file.basic_auth_users,
            limit: file.rate_limit.limit()?,
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct WebConfig {
    tls_server_config: Option<TlsFields>,
    http_server_config: HttpFields,
    basic_auth_users: BTreeMap<String, String>,
    rate_limit: LimitFields,
}

/// `tls_server_config`, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TlsFields {
    pub cert: String,
    pub cert_file: String,
    pub key: String,
    pub key_file: String,
    pub client_ca: String,
    pub client_ca_file: String,
    pub client_auth_type: String,
    pub client_allowed_sans: Vec<String>,
    pub min_version: String,
    pub max_version: String,
    pub cipher_suites: Vec<String>,
    pub prefer_server_cipher_suites: Option<bool>,
    pub curve_preferences: Vec<String>,
}

impl TlsFields {
    /// Whether anything asks for TLS; limits of something that is not there do not.
    fn is_wanted(&self) -> bool {
        let asking = [
            &self.cert,
            &self.cert_file,
            &self.key,
            &self.key_file,
            &self.client_ca,
            &self.client_ca_file,
            &self.client_auth_type,
        ];
        asking.iter().any(|field| !field.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpFields {
    http2: bool,
    headers: BTreeMap<String, String>,
}

impl Default for HttpFields {
    fn default() -> Self {
        HttpFields { http2: true, headers: BTreeMap::new() }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LimitFields {
    interval: String,
    burst: u32,
}

impl LimitFields {
    fn limit(&self) -> Result<Option<Limit>, String> {
        if self.interval.is_empty() {
            return Ok(None);
        }
        let interval = GoDuration::parse(&self.interval).map_err(|e| format!("rate_limit: interval: {e}"))?;
        let interval = interval.unsigned().ok_or("rate_limit: interval: is negative")?;
        Ok((!interval.is_zero()).then_some(Limit { interval, burst: self.burst }))
    }
}

/// Headers that may be set, with the values that they may have; none named is any.
const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

fn headers(written: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in written {
        let known = HEADERS.iter().find(|(known, _)| known == name);
        let (_, values) = known.ok_or_else(|| format!("http_server_config: header {name} can not be configured"))?;
        let invalid = || format!("http_server_config: invalid value for {name}: expected {}", expected(values));
        if value.is_empty() {
            continue;
        }
        if !values.is_empty() && !values.iter().any(|v| v.eq_ignore_ascii_case(value)) {
            return Err(invalid());
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        map.insert(name, HeaderValue::from_str(value).map_err(|_| invalid())?);
    }
    Ok(map)
}

fn expected(values: &[&str]) -> String {
    if values.is_empty() { "visible ASCII".into() } else { values.join(" or ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Protection, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Protection::read(file.path())
    }

    #[test]
    fn an_empty_file_protects_nothing() {
        for text in ["", "# nothing\n", "tls_server_config: {}\n", "rate_limit: {interval: 0s, burst: 3}\n"] {
            let all = read(text).unwrap();
            assert!(all.tls.is_none() && all.users.is_empty() && all.limit.is_none(), "{text}");
        }
    }

    #[test]
    fn everything_is_read() {
        let text = "http_server_config: {headers: {X-Frame-Options: DENY, X-XSS-Protection: ''}}\n\
                    basic_auth_users: {alice: $2y$04$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}\n\
                    rate_limit: {interval: 1m30s, burst: 3}\n";
        let all = read(text).unwrap();
        assert_eq!(
            all.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect::<Vec<_>>(),
            [("x-frame-options", &b"DENY"[..])]
        );
        assert_eq!(all.users.len(), 1);
        assert_eq!(all.limit, Some(Limit { interval: Duration::from_secs(90), burst: 3 }));
    }

    #[test]
    fn mistakes_are_named() {
        let faults = [
            ("nonsense: 1", "unknown field `nonsense`"),
            ("tls_server_config: {", "did not find expected node content"),
            ("tls_server_config: []", "invalid type: sequence"),
            ("tls_server_config: {cert_file: a}", "missing one of key or key_file"),
            ("tls_server_config: {client_auth_type: NoClientCert}", "missing one of cert or cert_file"),
            ("tls_server_config: {cert_file: a.pem, key: x}", "cert_file a.pem: no such file or directory"),
            ("http_server_config: {headers: {Server: x}}", "header Server can not be configured"),
            ("http_server_config: {headers: {X-Frame-Options: y}}", "X-Frame-Options: expected deny or sameorigin"),
            ("basic_auth_users: {alice: secret}", "basic_auth_users: alice: "),
            ("rate_limit: {interval: 5}", "missing unit in duration"),
            ("rate_limit: {interval: -5s}", "is negative"),
        ];
        for (text, words) in faults {
            let error = read(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
