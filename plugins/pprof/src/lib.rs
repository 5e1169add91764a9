//! The pprof directive: the pages below `/debug/pprof/`. There is no Go runtime whose profiles they could show: they say so, and how
//! to profile this process instead.

use api::corefile::{ConfigError, Cursor, value};
use api::http::{Mount, Page, Request, Response, Unopened};
use api::{PluginDef, Setup};
use std::sync::Arc;

/// The directive. It adds no plugin: it shows pages.
pub static PLUGIN: PluginDef = PluginDef { name: "pprof", properties: PROPERTIES, metrics: &[], setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["block"];

/// Where the pages are when the Corefile does not say.
const DEFAULT: &str = "localhost:6053";

fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let address = parse(&mut setup.cursor())?;
    let shown = if address.starts_with(':') { format!("localhost{address}") } else { address.clone() };
    tracing::warn!("there is no Go runtime to profile; http://{shown}/debug/pprof/ says what to do instead");
    let mut mount = |path, page: Page| {
        let address = address.clone();
        let unopened = Unopened::Fails;
        setup.mount(Mount { address, path, unopened, until_stop: false, web_config: None, page });
    };
    mount("/debug/pprof", Arc::new(|_: &Request| Response::redirect(302, "Found", "/debug/pprof/".to_owned())));
    mount("/debug/pprof/", Arc::new(|_: &Request| Response::text(200, advice())));
    mount("/debug/pprof/cmdline", Arc::new(|_: &Request| Response::text(200, command_line())));
    for path in OF_GO {
        mount(path, Arc::new(|_: &Request| Response::text(404, advice())));
    }
    Ok(())
}

/// Pages that CoreDNS has.
const OF_GO: [&str; 9] = [
    "/debug/pprof/allocs",
    "/debug/pprof/block",
    "/debug/pprof/goroutine",
    "/debug/pprof/heap",
    "/debug/pprof/mutex",
    "/debug/pprof/profile",
    "/debug/pprof/symbol",
    "/debug/pprof/threadcreate",
    "/debug/pprof/trace",
];

/// How to profile this process.
fn advice() -> String {
    let pid = std::process::id();
    format!(
        "Profiles of Go's runtime are not to be had: this is poddns, which has none.\n\
         \n\
         where time goes      perf record -g -p {pid} -- sleep 30 && perf report\n\
         a profile for pprof  perf record -g -p {pid} -- sleep 30 && pprof -proto perf.data\n\
         memory               process_resident_memory_bytes on the page of the directive prometheus\n\
         \n\
         /debug/pprof/cmdline has the command line.\n"
    )
}

/// The words of the command line, with zero octets between them, as Go shows them.
fn command_line() -> String {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join("\0")
}

/// `host:port`, the port as a number.
fn parse(c: &mut Cursor<'_>) -> Result<String, ConfigError> {
    let mut address = DEFAULT.to_owned();
    while c.next_once()? {
        match c.remaining_args()[..] {
            [] => (),
            [given] => address = host_port(c, given)?,
            _ => return Err(c.arg_err()),
        }
        while c.next_block() {
            block(c)?;
        }
    }
    Ok(address)
}

fn host_port(c: &Cursor<'_>, given: &str) -> Result<String, ConfigError> {
    let (host, port) = value::split_host_port(given).map_err(|words| c.err(words))?;
    let port = value::port(port).map_err(|words| c.bare(format!("listen tcp: {words}")).unnamed())?;
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// `block [RATE]`: how often Go's runtime looks for what blocks.
fn block(c: &mut Cursor<'_>) -> Result<(), ConfigError> {
    if c.val() != "block" {
        return Err(c.err(format!("unknown property '{}'", c.val())));
    }
    match c.remaining_args()[..] {
        [] => (),
        [rate] if rate.parse::<i64>().is_ok() => (),
        [rate] => return Err(c.err(format!("property 'block' invalid integer value '{rate}'"))),
        _ => return Err(c.arg_err()),
    }
    tracing::warn!("block has no effect: it is about Go's runtime");
    Ok(())
}
