//! The lines of the directive.

use crate::{Prometheus, enabled};
use api::Setup;
use api::corefile::{ConfigError, Cursor, value};
use api::http::{Mount, Request, Response, Unopened};
use api::metrics;
use api::server::PerSite;
use std::sync::{Arc, OnceLock};

/// Where metrics are shown when the Corefile does not say.
const DEFAULT: &str = "localhost:9153";

/// Adds the plugin, its page and its gauges.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let Config { address, web_config } = parse(&mut c)?;
    let web_config = web_config.map(|path| setup.path(&path).into());
    let page = Arc::new(page);
    let unopened = Unopened::Logged("Failed to start metrics handler");
    setup.mount(Mount { address, path: "/metrics", unopened, until_stop: false, web_config, page });
    let plugin =
        Prometheus { clock: setup.clock(), sites: PerSite::default(), chain: setup.chain(), below: OnceLock::new() };
    setup.add(plugin);
    enabled::show(setup);
    Ok(())
}

/// What the lines say.
struct Config {
    /// `host:port`.
    address: String,
    /// The file that protects it.
    web_config: Option<String>,
}

fn parse(c: &mut Cursor<'_>) -> Result<Config, ConfigError> {
    let mut config = Config { address: DEFAULT.to_owned(), web_config: None };
    while c.next_once()? {
        match c.remaining_args()[..] {
            [] => (),
            [given] => config.address = host_port(c, given)?,
            _ => return Err(c.arg_err()),
        }
        while c.next_block() {
            property(c, &mut config)?;
        }
    }
    config.web_config = config.web_config.filter(|path| !path.is_empty());
    Ok(config)
}

fn property(c: &mut Cursor<'_>, config: &mut Config) -> Result<(), ConfigError> {
    match c.val() {
        "runtime_metrics" => match c.remaining_args()[..] {
            [] => {
                tracing::warn!("runtime_metrics: there is no Go runtime; the metrics of the process are shown anyway")
            }
            _ => return Err(c.arg_err()),
        },
        "tls" => match c.remaining_args()[..] {
            [_] if config.web_config.is_some() => return Err(c.err("tls block already specified")),
            [path] => config.web_config = Some(path.to_owned()),
            _ => return Err(c.arg_err()),
        },
        other => return Err(c.err(format!("unknown option: {other}"))),
    }
    Ok(())
}

/// Checks that an address has the form `host:port`; whether it can be opened shows later.
fn host_port(c: &Cursor<'_>, address: &str) -> Result<String, ConfigError> {
    value::split_host_port(address).map_err(|words| c.bare(words))?;
    Ok(address.to_owned())
}

/// All metrics of the process.
fn page(_: &Request) -> Response {
    let content_type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    Response { content_type, ..Response::text(200, metrics::page()) }
}
