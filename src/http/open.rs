//! Opening the address of a page: `host:port` as Go reads it.

use crate::sockets::{self, Place};
use api::corefile::value;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Opens `host:port`. Without a host, and for `0.0.0.0`, on all addresses of both families; the port may be the name of a service.
///
/// # Errors
/// In Go's words, and what to do about it in a second line.
pub async fn open(address: &str) -> Result<TcpListener, String> {
    let invalid = |why: String| format!("listen tcp: {why}");
    let (host, port) = value::split_host_port(address).map_err(invalid)?;
    let port = value::port(port).map_err(invalid)?;
    let place = Place::new(host, port);
    if !place.is_name() {
        return place.address().and_then(listen).map_err(|e| failed(&place.text(), &e));
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let mut found: Vec<SocketAddr> =
        found.map_err(|e| invalid(format!("lookup {host}: no such host ({e})")))?.collect();
    // A name with addresses of both families means that of IPv4 (Go behaviour): `localhost` is where scrapers look.
    found.sort_by_key(SocketAddr::is_ipv6);
    let mut why = invalid(format!("lookup {host}: no such host"));
    for address in found {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(e) => why = failed(&address.to_string(), &e),
        }
    }
    Err(why)
}

fn failed(address: &str, e: &io::Error) -> String {
    let advice = sockets::advice(e, "in the directive that opens it");
    format!("listen tcp {address}: bind: {}{advice}", api::os_words(e))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(sockets::tcp(address, BACKLOG)?)
}
