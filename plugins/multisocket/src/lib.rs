//! The multisocket directive: how many sockets each address of a server block has.

use api::corefile::ConfigError;
use api::{PluginDef, Setup, gotext};

/// The directive. It adds no plugin: the server opens the sockets.
pub static PLUGIN: PluginDef = PluginDef { name: "multisocket", properties: &[], metrics: &[], setup };

/// Sockets that an address can have (CoreDNS's limit).
const MAX: i64 = 1024;

fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.next();
    let args = c.remaining_args();
    if args.len() > 1 || c.next() {
        return Err(c.arg_err());
    }
    let number = match args.first() {
        None => std::thread::available_parallelism().map_or(1, usize::from) as i64,
        Some(arg) => gotext::parse_int(arg).map_err(|words| c.bare(format!("invalid num sockets: {words}")))?,
    };
    if number < 1 {
        return Err(c.bare(format!("num sockets can not be zero or negative: {number}")));
    }
    if number > MAX {
        return Err(c.bare(format!("num sockets exceeds maximum ({MAX}): {number}")));
    }
    setup.options().sockets = usize::try_from(number).ok();
    Ok(())
}
