//! The load: `dnsperf`, which asks as fast as it is answered.

use crate::works::Transport;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// What became of a load.
pub struct Load {
    /// Questions that were answered.
    pub answered: f64,
    /// And that were not within 5 seconds.
    pub lost: f64,
    /// Answers a second.
    pub rate: f64,
    /// The share of NOERROR in all answers.
    pub noerror: f64,
}

/// Asks the questions of a file for so long, over and over.
///
/// # Errors
/// It fails, or says what it should not say.
pub fn run(server: SocketAddr, questions: &Path, seconds: u64, transport: Transport) -> Result<Load, String> {
    let mode = match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    };
    let mut dnsperf = Command::new("dnsperf");
    dnsperf.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string(), "-d"]).arg(questions);
    dnsperf.args(["-m", mode, "-c", CLIENTS, "-q", OUTSTANDING, "-l", &seconds.to_string()]);
    let output = dnsperf.output().map_err(|e| format!("dnsperf: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    read(&said).ok_or_else(|| format!("dnsperf: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
}

/// Sockets or connections.
const CLIENTS: &str = "8";
/// Questions in flight.
const OUTSTANDING: &str = "200";

fn read(said: &str) -> Option<Load> {
    let field = |name: &str| said.lines().find_map(|line| line.trim_start().strip_prefix(name)).map(str::trim);
    let number = |name: &str| field(name)?.split_whitespace().next()?.parse::<f64>().ok();
    let answered = number("Queries completed:")?;
    // `NOERROR 90 (90.00%), NXDOMAIN 10 (10.00%)`
    let codes = field("Response codes:").unwrap_or_default();
    let noerror = codes.split(", ").find_map(|code| code.strip_prefix("NOERROR ")?.split_whitespace().next());
    let noerror = noerror.map_or(Some(0.0), |count| count.parse().ok())?;
    let (lost, rate) = (number("Queries lost:")?, number("Queries per second:")?);
    Some(Load { answered, lost, rate, noerror: noerror / answered.max(1.0) })
}
