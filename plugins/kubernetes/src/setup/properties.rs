//! The properties in the directive's block, each as CoreDNS reads it.

use super::Pods;
use crate::cluster::{Config, Source};
use crate::connect::Place;
use crate::index::{KeptLabels, Kind, Options};
use crate::metadata::CLIENT_LABEL;
use crate::selector::Selector;
use crate::watch::RESYNC;
use api::corefile::{ConfigError, Cursor, value};
use api::gotext::{GoDuration, parse_int, quote};
use api::services::ExternalWanted;
use api::{Fallthrough, Name, Setup};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the block says; where it says nothing, the default.
pub struct Properties<'a> {
    pub ttl: u32,
    pub pods: Pods,
    pub ignore_empty: bool,
    pub zonal: bool,
    pub namespaces: Vec<String>,
    pub fallthrough: Fallthrough,
    pub startup_timeout: Duration,
    /// Zones of services that other clusters export.
    pub multicluster: Vec<Name>,
    /// The property that says where the cluster is read from.
    pub source_at: Option<Cursor<'a>>,
    endpoint: Option<String>,
    tls: Option<[String; 3]>,
    kubeconfig: Option<(String, Option<String>)>,
    manifests: Vec<PathBuf>,
    snapshot: Option<PathBuf>,
    qps: f64,
    burst: u32,
    inflight: u32,
    resync: Duration,
    labels: Selector,
    namespace_labels: Option<Selector>,
    pod_names: bool,
    endpoints: bool,
}

impl Default for Properties<'_> {
    fn default() -> Self {
        Properties {
            ttl: 5,
            pods: Pods::Disabled,
            ignore_empty: false,
            zonal: false,
            namespaces: Vec::new(),
            fallthrough: Fallthrough::default(),
            startup_timeout: Duration::from_secs(5),
            multicluster: Vec::new(),
            source_at: None,
            endpoint: None,
            tls: None,
            kubeconfig: None,
            manifests: Vec::new(),
            snapshot: None,
            qps: 0.0,
            burst: 0,
            inflight: 0,
            resync: RESYNC,
            labels: Selector::default(),
            namespace_labels: None,
            pod_names: false,
            endpoints: true,
        }
    }
}

type Done = Result<(), ConfigError>;

impl<'a> Properties<'a> {
    /// Reads the property that the cursor stands on.
    pub fn read(&mut self, setup: &Setup<'_>, c: &mut Cursor<'a>) -> Done {
        // A kubeconfig wins over an endpoint.
        if matches!(c.val(), "kubeconfig" | "manifests") || c.val() == "endpoint" && self.kubeconfig.is_none() {
            self.source_at = Some(c.clone());
        }
        match c.val() {
            "endpoint" => self.endpoint(c),
            "tls" => self.tls(setup, c),
            "kubeconfig" => self.kubeconfig(setup, c),
            "manifests" => self.manifests(setup, c),
            "snapshot" => self.snapshot(setup, c),
            "apiserver_qps" => self.qps(c),
            "apiserver_burst" => whole(c).map(|n| self.burst = n),
            "apiserver_max_inflight" => whole(c).map(|n| self.inflight = n),
            "resync" => self.resync(c),
            "namespaces" => self.namespaces(c),
            "labels" => selector(c, "label").map(|s| self.labels = s),
            "namespace_labels" => selector(c, "namespace_label").map(|s| self.namespace_labels = Some(s)),
            "pods" => self.pods(c),
            "endpoint_pod_names" => flag(c).map(|()| self.pod_names = true),
            "noendpoints" => flag(c).map(|()| self.endpoints = false),
            "ttl" => self.ttl(c),
            "fallthrough" => {
                self.fallthrough = Fallthrough::parse(c);
                Ok(())
            }
            "ignore" => self.ignore(c),
            "startup_timeout" => self.startup_timeout(c),
            "multicluster" => {
                self.multicluster = value::names(&c.remaining_args());
                Ok(())
            }
            "zonal" => flag(c).map(|()| self.zonal = true),
            unknown => Err(c.err(format!("unknown property '{unknown}'"))),
        }
    }

    /// Checks what one property alone does not tell. The cursor stands at the end of the block.
    pub fn check(&mut self, c: &Cursor<'_>) -> Done {
        self.namespaces.sort_unstable();
        if !self.namespaces.is_empty() && self.namespace_labels.is_some() {
            return Err(c.err("namespaces and namespace_labels cannot both be set"));
        }
        if self.zonal && !self.endpoints {
            return Err(c.err("zonal requires the endpoint cache; remove noendpoints"));
        }
        if !self.manifests.is_empty() && (self.endpoint.is_some() || self.kubeconfig.is_some()) {
            return Err(c.err("manifests and an API server cannot both be set"));
        }
        if !self.manifests.is_empty() && self.snapshot.is_some() {
            return Err(c.err("manifests need no snapshot"));
        }
        Ok(())
    }

    /// What decides which objects are known.
    pub fn cluster(&self, setup: &Setup<'_>) -> Config {
        let mut kinds = vec![Kind::Service, Kind::Namespace];
        kinds.extend(self.endpoints.then_some(Kind::EndpointSlice));
        kinds.extend((self.pods == Pods::Verified).then_some(Kind::Pod));
        if !self.multicluster.is_empty() {
            kinds.extend([Kind::ServiceImport, Kind::ImportedSlice]);
        }
        let external = setup.shared::<ExternalWanted>().is_set();
        Config {
            source: self.source(),
            labels: self.labels.clone(),
            namespace_labels: self.namespace_labels.clone().unwrap_or_default(),
            kinds,
            options: Options { pod_names: self.pod_names, zones: self.zonal, external },
            kept_labels: self.kept_labels(setup),
            snapshot: self.snapshot.clone(),
        }
    }

    /// The labels of clients that the Corefile speaks of; all where it puts a key together, and does not say it.
    fn kept_labels(&self, setup: &Setup<'_>) -> KeptLabels {
        if self.pods != Pods::Verified {
            return KeptLabels::None;
        }
        let in_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        let key = |rest: &str| rest[..rest.find(|c| !in_key(c)).unwrap_or(rest.len())].to_owned();
        let keys: BTreeSet<String> = setup.mentioned(CLIENT_LABEL).map(key).collect();
        match keys.first() {
            None => KeptLabels::None,
            Some(key) if key.is_empty() => KeptLabels::All,
            Some(_) => KeptLabels::Some(keys.into_iter().collect()),
        }
    }

    fn source(&self) -> Source {
        if !self.manifests.is_empty() {
            return Source::Manifests(self.manifests.clone());
        }
        let place = match (&self.kubeconfig, &self.endpoint) {
            (Some((file, context)), _) => Place::Kubeconfig { file: file.clone(), context: context.clone() },
            (None, Some(url)) => Place::Endpoint { url: url.clone(), tls: self.tls.clone() },
            (None, None) => Place::InCluster,
        };
        Source::Api { place, qps: self.qps, burst: self.burst, inflight: self.inflight, resync: self.resync }
    }
}

/// Where the cluster is.
impl Properties<'_> {
    fn endpoint(&mut self, c: &mut Cursor<'_>) -> Done {
        let urls = c.remaining_args();
        let first = *urls.first().ok_or_else(|| c.arg_err())?;
        if urls.len() > 1 {
            tracing::warn!(
                "Multiple endpoints have been deprecated, only the first specified endpoint '{first}' is used"
            );
        }
        self.endpoint = Some(first.to_owned());
        Ok(())
    }

    fn tls(&mut self, setup: &Setup<'_>, c: &mut Cursor<'_>) -> Done {
        let files = c.remaining_args();
        let files: [&str; 3] = files.try_into().map_err(|_| c.arg_err())?;
        self.tls = Some(files.map(|file| setup.path(file)));
        Ok(())
    }

    fn kubeconfig(&mut self, setup: &Setup<'_>, c: &mut Cursor<'_>) -> Done {
        self.kubeconfig = match *c.remaining_args() {
            [file] => Some((setup.path(file), None)),
            [file, context] => Some((setup.path(file), Some(context.to_owned()))),
            _ => return Err(c.arg_err()),
        };
        Ok(())
    }

    fn manifests(&mut self, setup: &Setup<'_>, c: &mut Cursor<'_>) -> Done {
        let paths = c.remaining_args();
        if paths.is_empty() {
            return Err(c.arg_err());
        }
        self.manifests.extend(paths.into_iter().map(|path| PathBuf::from(setup.path(path))));
        Ok(())
    }

    /// The file has to be in a folder that exists; whether it can be written shows when it is.
    fn snapshot(&mut self, setup: &Setup<'_>, c: &mut Cursor<'_>) -> Done {
        let [path] = *c.remaining_args() else { return Err(c.arg_err()) };
        let path = PathBuf::from(setup.path(path));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(c.err(format!("snapshot {}: there is no folder {}", path.display(), folder.display())));
        }
        self.snapshot = Some(path);
        Ok(())
    }

    fn qps(&mut self, c: &mut Cursor<'_>) -> Done {
        let [text] = *c.remaining_args() else { return Err(c.arg_err()) };
        let fault = |why| c.err(format!("invalid apiserver_qps {}: {why}", quote(text)));
        self.qps = parse_float(text).map_err(fault)?;
        if self.qps < 0.0 { Err(c.err("apiserver_qps must be >= 0")) } else { Ok(()) }
    }

    fn resync(&mut self, c: &mut Cursor<'_>) -> Done {
        let [text] = *c.remaining_args() else { return Err(c.arg_err()) };
        let period = GoDuration::parse(text).map_err(|why| c.err(format!("invalid resync {}: {why}", quote(text))))?;
        let sensible = |period: &Duration| period.is_zero() || *period >= SHORTEST_RESYNC;
        let wrong = || c.err(format!("resync must be 0 or at least {}s: {text}", SHORTEST_RESYNC.as_secs()));
        self.resync = period.unsigned().filter(sensible).ok_or_else(wrong)?;
        Ok(())
    }

    fn startup_timeout(&mut self, c: &mut Cursor<'_>) -> Done {
        let text = *c.remaining_args().first().ok_or_else(|| c.arg_err())?;
        let timeout =
            GoDuration::parse(text).map_err(|why| c.bare(format!("failed to parse startup_timeout: {text}, {why}")))?;
        self.startup_timeout = timeout
            .unsigned()
            .filter(|timeout| !timeout.is_zero())
            .ok_or_else(|| c.bare(format!("startup_timeout must be greater than 0: {timeout}")))?;
        Ok(())
    }
}

/// What is answered.
impl Properties<'_> {
    fn namespaces(&mut self, c: &mut Cursor<'_>) -> Done {
        let names = c.remaining_args();
        if names.is_empty() {
            return Err(c.arg_err());
        }
        self.namespaces.extend(names.into_iter().map(str::to_owned));
        Ok(())
    }

    fn pods(&mut self, c: &mut Cursor<'_>) -> Done {
        self.pods = match *c.remaining_args() {
            ["disabled"] => Pods::Disabled,
            ["insecure"] => Pods::Insecure,
            ["verified"] => Pods::Verified,
            [other] => {
                let known = "disabled, verified, insecure";
                return Err(c.bare(format!("wrong value for pods: {other},  must be one of: {known}")));
            }
            _ => return Err(c.arg_err()),
        };
        Ok(())
    }

    fn ttl(&mut self, c: &mut Cursor<'_>) -> Done {
        let text = *c.remaining_args().first().ok_or_else(|| c.arg_err())?;
        let ttl = parse_int(text).map_err(|why| c.bare(why))?;
        let range = || c.err(format!("ttl must be in range [0, 3600]: {ttl}"));
        self.ttl = u32::try_from(ttl).ok().filter(|&ttl| ttl <= 3600).ok_or_else(range)?;
        Ok(())
    }

    fn ignore(&mut self, c: &mut Cursor<'_>) -> Done {
        match c.remaining_args().first() {
            None => (),
            Some(&"empty_service") => self.ignore_empty = true,
            Some(other) => return Err(c.bare(format!("unable to parse ignore value: '{other}'"))),
        }
        Ok(())
    }
}

/// A property without arguments.
fn flag(c: &mut Cursor<'_>) -> Done {
    if c.remaining_args().is_empty() { Ok(()) } else { Err(c.arg_err()) }
}

/// A property with one whole number that is not negative.
fn whole(c: &mut Cursor<'_>) -> Result<u32, ConfigError> {
    let name = c.val();
    let [text] = *c.remaining_args() else { return Err(c.arg_err()) };
    let number = parse_int(text).map_err(|why| c.err(format!("invalid {name} {}: {why}", quote(text))))?;
    if number < 0 {
        return Err(c.err(format!("{name} must be >= 0")));
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A property with a label selector, whose words may stand for themselves.
fn selector(c: &mut Cursor<'_>, what: &str) -> Result<Selector, ConfigError> {
    let words = c.remaining_args();
    if words.is_empty() {
        return Err(c.arg_err());
    }
    let text = words.join(" ");
    Selector::parse(&text).map_err(|why| c.bare(format!("unable to parse {what} selector value: '{text}': {why}")))
}

/// Reads a number as Go does into 32 bits (`strconv.ParseFloat`).
fn parse_float(text: &str) -> Result<f64, String> {
    let fault = |why| format!("strconv.ParseFloat: parsing {}: {why}", quote(text));
    let number: f64 = text.parse().map_err(|_| fault("invalid syntax"))?;
    let named = text.to_ascii_lowercase().contains("inf");
    if number.abs() > f64::from(f32::MAX) && !named { Err(fault("value out of range")) } else { Ok(number) }
}

/// Comparisons that are made more often than this would cost more than they find.
const SHORTEST_RESYNC: Duration = Duration::from_secs(10);
