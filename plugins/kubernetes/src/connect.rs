//! The connection to the API server: where it is, how to be let in, and how often to ask.

mod limits;
mod outage;
mod renewal;

use crate::metrics::Requests;
use api::gotext::quote;
use api::{Clock, os_words};
use kube::client::{Body, ConfigExt};
use kube::config::{AuthInfo, Kubeconfig};
use kube::{Client, Config};
pub use limits::Limits;
use outage::Outage;
use renewal::Files;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// Where the API server is, as the Corefile says it.
#[derive(Clone, PartialEq, Debug)]
pub enum Place {
    /// Where the environment of a pod says.
    InCluster,
    /// Where a kubeconfig file says.
    Kubeconfig {
        /// The file.
        file: String,
        /// Another context than the current one.
        context: Option<String>,
    },
    /// At a URL.
    Endpoint {
        /// Host and port may stand alone.
        url: String,
        /// Files of a certificate, its key, and the authority that signed the server's certificate.
        tls: Option<[String; 3]>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::InCluster => f.write_str("in-cluster configuration"),
            Place::Kubeconfig { file, context: None } => write!(f, "kubeconfig {file}"),
            Place::Kubeconfig { file, context: Some(context) } => write!(f, "kubeconfig {file}, context {context}"),
            Place::Endpoint { url, .. } => write!(f, "endpoint {url}"),
        }
    }
}

impl Place {
    /// The server that a file names, or why it names none; nothing where the Corefile names the server.
    pub fn named(&self) -> Option<Result<String, String>> {
        match self {
            Place::Kubeconfig { file, context } => {
                Some(kubeconfig(file, context.as_deref()).map(|config| config.cluster_url.to_string()))
            }
            Place::InCluster | Place::Endpoint { .. } => None,
        }
    }

    /// Reads what is needed to connect.
    ///
    /// # Errors
    /// Says which file or variable is missing or wrong, in CoreDNS's words where there are such.
    pub fn config(&self) -> Result<Config, String> {
        let mut config = match self {
            Place::InCluster => in_cluster()?,
            Place::Kubeconfig { file, context } => kubeconfig(file, context.as_deref())?,
            Place::Endpoint { url, tls } => endpoint(url, tls.as_ref())?,
        };
        // Every failure is seen, counted and waited for where the lists and watches are made.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        // Certificates that cannot be used are found now, not when the first connection is made.
        config.rustls_client_config().map_err(|e| format!("{self}: {}", causes(&e)))?;
        Ok(config)
    }
}

fn in_cluster() -> Result<Config, String> {
    let set = |name| std::env::var(name).is_ok_and(|v| !v.is_empty());
    if !set("KUBERNETES_SERVICE_HOST") || !set("KUBERNETES_SERVICE_PORT") {
        return Err("unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT \
                    must be defined"
            .into());
    }
    for file in ["token", "ca.crt"] {
        let path = format!("/var/run/secrets/kubernetes.io/serviceaccount/{file}");
        std::fs::read(&path).map_err(|e| format!("open {path}: {}", os_words(&e)))?;
    }
    Config::incluster().map_err(|e| format!("unable to load in-cluster configuration: {}", causes(&e)))
}

fn kubeconfig(file: &str, context: Option<&str>) -> Result<Config, String> {
    const NOTHING: &str = "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER \
                           environment variable";
    std::fs::metadata(file).map_err(|e| format!("stat {file}: {}", os_words(&e)))?;
    let text = std::fs::read_to_string(file)
        .map_err(|e| format!("error loading config file \"{file}\": read {file}: {}", os_words(&e)))?;
    if text.trim().is_empty() {
        return Err(NOTHING.into());
    }
    let failed = |why: String| format!("error loading config file \"{file}\": {why}");
    if let Some(fault) = api::yaml::fault_in_go(&text) {
        return Err(failed(fault));
    }
    let mut read = Kubeconfig::read_from(Path::new(file)).map_err(|e| failed(causes(&e)))?;
    if let Some(context) = context {
        if !read.contexts.iter().any(|c| c.name == context) {
            return Err(format!("context \"{context}\" does not exist"));
        }
        read.current_context = Some(context.into());
    }
    if read.clusters.is_empty() && read.contexts.is_empty() {
        return Err(NOTHING.into());
    }
    Config::try_from(read).map_err(|e| failed(causes(&e)))
}

fn endpoint(url: &str, tls: Option<&[String; 3]>) -> Result<Config, String> {
    let mut config = Config::new(server_url(url).ok_or_else(|| no_url(url))?);
    let Some([certificate, key, authority]) = tls else { return Ok(config) };
    let files = [("client-cert", certificate), ("client-key", key), ("certificate-authority", authority)];
    let missing: Vec<String> = files.iter().filter_map(|(what, file)| unreadable(what, file)).collect();
    if !missing.is_empty() {
        return Err(format!("invalid configuration: [{}]", missing.join(", ")));
    }
    config.root_cert_file = Some(authority.into());
    config.auth_info = AuthInfo {
        client_certificate: Some(certificate.clone()),
        client_key: Some(key.clone()),
        ..AuthInfo::default()
    };
    Ok(config)
}

/// A URL, or a host and a port that stand alone and mean HTTP.
fn server_url(text: &str) -> Option<http::Uri> {
    let has_host = |url: &http::Uri| url.host().is_some_and(|host| !host.is_empty());
    let whole = text
        .parse()
        .ok()
        .filter(|url: &http::Uri| has_host(url) && url.scheme_str().is_some_and(|scheme| !scheme.is_empty()));
    let alone = || {
        let url: http::Uri = format!("http://{text}").parse().ok()?;
        (has_host(&url) && matches!(url.path(), "" | "/")).then_some(url)
    };
    whole.or_else(alone)
}

fn no_url(url: &str) -> String {
    let why = format!("host must be a URL or a host:port pair: {}", quote(url));
    format!("failed to create kubernetes notification controller: {}", quote(&why))
}

fn unreadable(what: &str, file: &str) -> Option<String> {
    let error = std::fs::File::open(file).err()?;
    Some(format!("unable to read {what} {file} for  due to open {file}: {}", os_words(&error)))
}

/// The API server, as the lists and watches see it.
pub struct Api {
    /// Made anew when what it was made of changes on disk.
    client: Mutex<(Client, Files)>,
    url: http::Uri,
    host: String,
    place: Place,
    limits: Limits,
    outage: Outage,
    requests: Requests,
    clock: Clock,
}

impl Api {
    /// Connects on first use. Must be called where tasks can be started.
    ///
    /// # Errors
    /// What the configuration names, certificates for example, cannot be used.
    pub fn new(config: Config, place: Place, limits: Limits, clock: Clock) -> Result<Api, String> {
        let url = config.cluster_url.clone();
        let host = url.authority().map(ToString::to_string).unwrap_or_default();
        let outage = Outage::new(format!("{host} ({place})"), clock.clone());
        let files = Files::new(&place, &config, clock.now());
        let client = Client::try_from(config).map_err(|e| causes(&e))?;
        let (client, requests) = (Mutex::new((client, files)), Requests::new(&host));
        Ok(Api { client, requests, url, host, place, limits, outage, clock })
    }

    /// Host and port of the API server.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the log says while it cannot be read.
    pub fn outage(&self) -> &Outage {
        &self.outage
    }

    /// Waits until fewer requests than allowed are under way; the request is one of them until the permit is dropped.
    pub async fn inflight(&self) -> Option<SemaphorePermit<'_>> {
        self.limits.inflight().await
    }

    /// Asks for the list at `path`, and returns the body of a good answer.
    pub async fn list(&self, path: &str) -> Result<Body, Failure> {
        self.list_as(path, OBJECTS).await
    }

    /// The same, but without anything in the objects except their metadata.
    pub async fn list_names(&self, path: &str) -> Result<Body, Failure> {
        self.list_as(path, NAMES).await
    }

    async fn list_as(&self, path: &str, accept: &str) -> Result<Body, Failure> {
        self.turn().await;
        let sent = self.clock.now();
        let answer = self.send(path, accept).await;
        self.requests.took(self.clock.now() - sent);
        answer
    }

    /// Asks for the watch at `path`, and returns the body of a good answer, which goes on.
    pub async fn watch(&self, path: &str) -> Result<Body, Failure> {
        self.turn().await;
        self.send(path, OBJECTS).await
    }

    async fn turn(&self) {
        let asked = self.clock.now();
        self.limits.turn().await;
        if self.limits.has_rate() {
            self.requests.waited(self.clock.now() - asked);
        }
    }

    async fn send(&self, path: &str, accept: &str) -> Result<Body, Failure> {
        let request = http::Request::get(path)
            .header(http::header::ACCEPT, accept)
            .header(http::header::ACCEPT_ENCODING, "identity")
            .header(http::header::USER_AGENT, AGENT)
            .body(Body::empty())
            .map_err(|e| Failure::Unreachable(e.to_string()))?;
        let response = tokio::time::timeout(ANSWER, self.client().send(request)).await;
        let response = match response {
            Ok(Ok(response)) => response,
            Ok(Err(e)) => return Err(self.unanswered(root_cause(&e))),
            Err(_) => return Err(self.unanswered(format!("no answer within {} s", ANSWER.as_secs()))),
        };
        let code = response.status();
        self.requests.answered(code.as_str());
        if code.is_success() {
            return Ok(response.into_body());
        }
        Err(refused(code.as_u16(), response).await)
    }

    /// The client, made anew if a token or a certificate has changed on disk.
    fn client(&self) -> Client {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let (client, files) = &mut *client;
        if files.changed(self.clock.now()) {
            match self.renewed() {
                Ok(renewed) => {
                    tracing::info!("the credentials of {} have changed: they are used from now on", self.place);
                    *client = renewed;
                }
                Err(why) => {
                    tracing::debug!("the credentials of {} have changed, and cannot be used: {why}", self.place);
                    files.forget();
                }
            }
        }
        client.clone()
    }

    fn renewed(&self) -> Result<Client, String> {
        let mut config = self.place.config()?;
        // What is known came from this server, and says nothing about another one.
        config.cluster_url = self.url.clone();
        Client::try_from(config).map_err(|e| causes(&e))
    }

    fn unanswered(&self, why: String) -> Failure {
        self.requests.answered("<error>");
        Failure::Unreachable(why.trim_end().to_owned())
    }
}

/// Why there is no good answer.
#[derive(Debug)]
pub enum Failure {
    /// No answer at all.
    Unreachable(String),
    /// Another status than 2xx.
    Status {
        /// HTTP status code.
        code: u16,
        /// In the server's words.
        message: String,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable(why) => f.write_str(why),
            Failure::Status { code, message, .. } => write!(f, "status {code}: {message}"),
        }
    }
}

async fn refused(code: u16, response: http::Response<Body>) -> Failure {
    let header = response.headers().get(http::header::RETRY_AFTER);
    let seconds: Option<u64> = header.and_then(|v| v.to_str().ok()?.parse().ok());
    let retry_after = seconds.map(Duration::from_secs);
    let body = crate::watch::whole(response.into_body(), ANSWER).await.unwrap_or_default();
    let message = match serde_json::from_slice::<crate::watch::Status<'_>>(&body) {
        Ok(status) => status.message.to_string(),
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned(),
    };
    Failure::Status { code, message, retry_after }
}

/// An error with its causes, each once.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What is at the bottom of an error, where that is one of the system; else all of it.
fn root_cause(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(e) if e.raw_os_error().is_some() => os_words(e),
        _ => causes(error),
    }
}

const AGENT: &str = concat!("poddns/", env!("CARGO_PKG_VERSION"));
const OBJECTS: &str = "application/json";
/// Where a server does not know this form, whole objects do as well.
const NAMES: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// Until the connection stands. A lost SYN is sent again after one second.
const CONNECT: Duration = Duration::from_secs(3);
/// Until the head of the answer has come.
const ANSWER: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_or_hosts() {
        for (text, url) in [
            ("https://k8s:6443/base", Some("https://k8s:6443/base")),
            ("10.0.0.1:8080", Some("http://10.0.0.1:8080/")),
            ("k8s", Some("http://k8s/")),
            ("k8s/base", None),
            ("://x", None),
            ("", None),
        ] {
            let read = server_url(text).map(|url| url.to_string());
            assert_eq!(read.as_deref(), url, "{text}");
        }
    }

    #[test]
    fn files_of_an_endpoint_are_checked_at_once() {
        let place = |file: &str| {
            let url = "https://127.0.0.1:1".to_owned();
            Place::Endpoint { url, tls: Some([file; 3].map(str::to_owned)) }
        };
        let missing = place("/nowhere").config().unwrap_err();
        assert!(missing.starts_with("invalid configuration: [unable to read client-cert /nowhere"), "{missing}");
        // A file that can be read and is no certificate.
        let unusable = place(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).config().unwrap_err();
        assert!(unusable.starts_with("endpoint https://127.0.0.1:1: "), "{unusable}");
        assert_eq!(Place::InCluster.to_string(), "in-cluster configuration");
    }
}
