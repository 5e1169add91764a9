//! The ready directive: says over HTTP whether every plugin is ready.

mod checks;

use api::corefile::{ConfigError, Cursor, value};
use api::http::{Mount, Request, Response, Unopened};
use api::{PluginDef, Setup};
use checks::{Checks, Monitor};
use std::sync::Arc;

/// The directive. It adds no plugin: it shows a page.
pub static PLUGIN: PluginDef = PluginDef { name: "ready", properties: PROPERTIES, metrics: &[], setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["monitor"];

/// Where readiness is told when the Corefile does not say.
const DEFAULT: &str = ":8181";

fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let (address, monitor) = parse(&mut c)?;
    let checks: Arc<Checks> = setup.shared();
    checks.add(setup.chain(), monitor);
    let page = Arc::new(move |_: &Request| page(&checks));
    let unopened = Unopened::Logged("Failed to start ready handler");
    setup.mount(Mount { address, path: "/ready", unopened, until_stop: true, web_config: None, page });
    Ok(())
}

/// OK, or the names of the plugins that are not ready.
fn page(checks: &Checks) -> Response {
    let names = checks.not_ready().join(",");
    if names.is_empty() {
        return Response::text(200, "OK");
    }
    tracing::info!("Plugins not ready: \"{names}\"");
    Response::text(503, names)
}

fn parse(c: &mut Cursor<'_>) -> Result<(String, Monitor), ConfigError> {
    let (mut address, mut monitor) = (DEFAULT.to_owned(), Monitor::default());
    while c.next_once()? {
        match c.remaining_args()[..] {
            [] => (),
            [given] => {
                value::split_host_port(given).map_err(|words| c.bare(words))?;
                address = given.to_owned();
            }
            _ => return Err(c.arg_err()),
        }
        while c.next_block() {
            monitor = property(c)?;
        }
    }
    Ok((address, monitor))
}

/// `monitor until-ready|continuously`
fn property(c: &mut Cursor<'_>) -> Result<Monitor, ConfigError> {
    if c.val() != "monitor" {
        return Err(c.err(format!("unknown property '{}'", c.val())));
    }
    match c.remaining_args()[..] {
        ["until-ready"] => Ok(Monitor::UntilReady),
        ["continuously"] => Ok(Monitor::Continuously),
        [other] => Err(c.err(format!("monitor type '{other}' not supported"))),
        _ => Err(c.arg_err()),
    }
}
