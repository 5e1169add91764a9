//! The lines of the directive.

use crate::probe;
use api::Setup;
use api::corefile::{ConfigError, Cursor, value};
use api::gotext::{GoDuration, quote};
use api::http::{Mount, Request, Response, Unopened};
use std::sync::Arc;

/// Where health is told when the Corefile does not say.
const DEFAULT: &str = ":8080";

/// Adds the page, the requests of the server to itself, and the lame duck.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let (mut address, mut lameduck) = (DEFAULT.to_owned(), None);
    while c.next() {
        match c.remaining_args()[..] {
            [] => (),
            [given] => address = given_address(&c, given)?,
            _ => return Err(c.arg_err()),
        }
        while c.next_block() {
            lameduck = Some(property(&mut c)?);
        }
    }
    let (host, port) = value::split_host_port(&address).map_err(|words| c.bare(words))?;
    if !matches!(port, "" | "0") {
        let host = if host.is_empty() { "localhost" } else { host };
        let (asked, clock) =
            (if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }, setup.clock());
        setup.task("ask myself", move |stop| probe::run(asked, clock, stop));
    }
    let page = Arc::new(|_: &Request| Response::text(200, "OK"));
    let unopened = Unopened::Fails;
    setup.mount(Mount { address, path: "/health", unopened, until_stop: false, web_config: None, page });
    if let Some((duration, shown)) = lameduck.and_then(|d| d.unsigned().map(|u| (u, d.to_string())))
        && !duration.is_zero()
    {
        setup.before_stop(move || async move {
            tracing::info!("Going into lameduck mode for {shown}");
            tokio::time::sleep(duration).await;
        });
    }
    Ok(())
}

/// `lameduck DURATION`
fn property(c: &mut Cursor<'_>) -> Result<GoDuration, ConfigError> {
    if c.val() != "lameduck" {
        return Err(c.err(format!("unknown property '{}'", c.val())));
    }
    let [arg] = c.remaining_args()[..] else { return Err(c.arg_err()) };
    GoDuration::parse(arg)
        .map_err(|words| c.bare(format!("unable to parse lameduck duration value: '{arg}' : {words}")))
}

/// Checks an address; of its port CoreDNS says what is wrong without the name of the directive.
fn given_address(c: &Cursor<'_>, given: &str) -> Result<String, ConfigError> {
    let (_, port) = value::split_host_port(given).map_err(|words| c.bare(words))?;
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        let url = quote(&format!("http://{given}"));
        return Err(c.bare(format!("parse {url}: invalid port {} after host", quote(&format!(":{port}")))).unnamed());
    }
    if port.parse::<u16>().is_err() && !port.is_empty() {
        return Err(c.bare(format!("listen tcp: address {port}: invalid port")).unnamed());
    }
    Ok(given.to_owned())
}
