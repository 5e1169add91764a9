//! The lines of the directive.

use crate::Hosts;
use crate::table::{self, Reverse, Table};
use crate::watch::File;
use api::corefile::{ConfigError, Cursor};
use api::gotext::{self, GoDuration};
use api::{Fallthrough, Name, Setup};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_FILE: &str = "/etc/hosts";
const DEFAULT_TTL: u32 = 3600;
const DEFAULT_RELOAD: Duration = Duration::from_secs(5);

/// What the block says.
struct Options {
    ttl: u32,
    reverse: Reverse,
    reload: Duration,
    fallthrough: Option<Fallthrough>,
    other_types: bool,
    lines: String,
}

/// Adds the plugin, and the work that watches the file.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.next();
    let args = c.remaining_args();
    let (path, zones) = args.split_first().map_or((DEFAULT_FILE, &[][..]), |(path, zones)| (*path, zones));
    let path = setup.path(path);
    check(&c, &path)?;
    let zones: Box<[Name]> = setup.names_or(zones).into();
    let options = parse(setup, &mut c)?;
    c.next_once()?;
    let lines = Arc::new(Table::parse(options.lines.as_bytes(), &zones, options.reverse));
    let mut file = File::new(path, zones.clone(), options.reverse, lines.len());
    if let Err(e) = file.refresh()
        && e.kind() != ErrorKind::NotFound
    {
        tracing::warn!("cannot read {}: {}", file.path, api::os_words(&e));
    }
    setup.add(Hosts {
        zones,
        ttl: options.ttl,
        fallthrough: options.fallthrough.unwrap_or_default(),
        other_types_fall_through: options.other_types,
        file: file.table.clone(),
        lines,
    });
    if !options.reload.is_zero() {
        setup.task("watch the hosts file", move |stop| file.watch(options.reload, stop));
    }
    Ok(())
}

/// Says what is the matter with the file; one that does not exist may come later.
fn check(c: &Cursor<'_>, path: &str) -> Result<(), ConfigError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => tracing::warn!("Hosts file {} is a directory", gotext::quote(path)),
        Ok(_) => (),
        Err(e) if e.kind() == ErrorKind::NotFound => tracing::warn!("File does not exist: {path}"),
        Err(e) => {
            let why = api::os_words(&e);
            return Err(c.err(format!("unable to access hosts file '{path}': stat {path}: {why}")));
        }
    }
    Ok(())
}

fn parse(setup: &mut Setup<'_>, c: &mut Cursor<'_>) -> Result<Options, ConfigError> {
    let mut options = Options {
        ttl: DEFAULT_TTL,
        reverse: Reverse::On,
        reload: DEFAULT_RELOAD,
        fallthrough: None,
        other_types: false,
        lines: String::new(),
    };
    while c.next_block() {
        property(setup, c, &mut options)?;
    }
    if options.other_types && options.fallthrough.is_none() {
        return Err(c.err("fallthrough_unsupported requires fallthrough"));
    }
    Ok(options)
}

fn property(setup: &mut Setup<'_>, c: &mut Cursor<'_>, options: &mut Options) -> Result<(), ConfigError> {
    match c.val() {
        "fallthrough" => options.fallthrough = Some(Fallthrough::parse(c)),
        "fallthrough_unsupported" => match c.remaining_args()[..] {
            [] => options.other_types = true,
            _ => return Err(c.arg_err()),
        },
        "no_reverse" => {
            c.remaining_args();
            options.reverse = Reverse::Off;
        }
        "ttl" => options.ttl = ttl(c)?,
        "reload" => options.reload = reload(c)?,
        // Lines of addresses and names, up to the first `fallthrough`.
        address if options.fallthrough.is_none() => {
            if table::address(address).is_none() {
                let mistake = c.bare(format!("{} is no address: the line is ignored", gotext::quote(address)));
                setup.advise(|_| Some(mistake.coded("ignored-line")));
            }
            options.lines += &format!("{address} {}\n", c.remaining_args().join(" "));
        }
        other => return Err(c.err(format!("unknown property '{other}'"))),
    }
    Ok(())
}

fn ttl(c: &mut Cursor<'_>) -> Result<u32, ConfigError> {
    let args = c.remaining_args();
    let Some(arg) = args.first() else { return Err(c.err("ttl needs a time in second")) };
    let number = gotext::parse_int(arg).map_err(|_| c.err("ttl needs a number of second"))?;
    let allowed = u16::try_from(number).ok().filter(|n| *n > 0);
    allowed.map(u32::from).ok_or_else(|| c.err("ttl provided is invalid"))
}

fn reload(c: &mut Cursor<'_>) -> Result<Duration, ConfigError> {
    let [arg] = c.remaining_args()[..] else {
        return Err(c.err("reload needs a duration (zero seconds to disable)"));
    };
    let parsed = GoDuration::parse(arg).map_err(|_| c.err(format!("invalid duration for reload '{arg}'")))?;
    parsed.unsigned().ok_or_else(|| c.err(format!("invalid negative duration for reload '{arg}'")))
}
