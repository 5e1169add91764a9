//! The lines of the directive: one stanza after the other, in the order in which CoreDNS asks and refuses.

mod advice;

use crate::alarms::Alarms;
use crate::health::Check;
use crate::metrics::Directive;
use crate::policy::Policy;
use crate::pool::Keep;
use crate::resolve::Resolvers;
use crate::target::{self, Target};
use crate::tls::{self, Identity};
use crate::together::Together;
use crate::upstream::{Method, Proto, Settings, Upstream};
use crate::{Forward, InFlight, Protocol};
use api::corefile::value::{names, split_host_port, zones};
use api::corefile::{ConfigError, Cursor, Transport};
use api::gotext::{GoDuration, parse_int, parse_uint, quote};
use api::setup::Purpose;
use api::{Name, Rcode, Setup};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Adds a plugin for each stanza.
///
/// # Errors
/// A stanza is refused.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let (mut lines, mut stanzas) = (Vec::new(), Vec::new());
    while c.next() {
        lines.push(c.clone());
        stanzas.push(Stanza::read(&mut c, setup)?);
    }
    if let Some(why) = stanzas.iter().find_map(|s| target::too_many(s.arguments)) {
        return Err(c.bare(why));
    }
    advice::add(setup, &lines, &stanzas);
    setup.options().any_class = true;
    let last = stanzas.len() - 1;
    for (place, stanza) in stanzas.into_iter().enumerate() {
        let forward = stanza.build(setup, place < last)?;
        setup.add(forward);
    }
    Ok(())
}

/// What one stanza says.
struct Stanza {
    from: Name,
    targets: Vec<Target>,
    arguments: usize,
    except: Vec<Name>,
    policy: Policy,
    protocol: Protocol,
    expire: GoDuration,
    max_age: GoDuration,
    max_idle: usize,
    read_timeout: Duration,
    source: Option<IpAddr>,
    max_fails: u32,
    max_attempts: Option<u32>,
    max_concurrent: Option<(usize, String)>,
    check: Check,
    fail_fast: bool,
    failover: Vec<Rcode>,
    next: Vec<Rcode>,
    next_on_nodata: bool,
    resolvers: Vec<String>,
    identity: Identity,
    server_name: String,
    method: Method,
}

impl Default for Stanza {
    fn default() -> Self {
        let interval = Duration::from_millis(500);
        Stanza {
            from: Name::root(),
            targets: Vec::new(),
            arguments: 0,
            except: Vec::new(),
            policy: Policy::Best,
            protocol: Protocol::Client,
            expire: GoDuration::from_secs(10),
            max_age: GoDuration::from_secs(0),
            max_idle: 0,
            read_timeout: Duration::from_secs(2),
            source: None,
            max_fails: 2,
            max_attempts: None,
            max_concurrent: None,
            check: Check { interval, recursion: true, domain: Name::root(), proto: Proto::Udp },
            fail_fast: false,
            failover: Vec::new(),
            next: Vec::new(),
            next_on_nodata: false,
            resolvers: Vec::new(),
            identity: Identity::default(),
            server_name: String::new(),
            method: Method::Post,
        }
    }
}

impl Stanza {
    /// Reads a stanza; the cursor is on the directive's name.
    fn read(c: &mut Cursor<'_>, setup: &Setup<'_>) -> Result<Stanza, ConfigError> {
        let Some([from]) = c.args() else { return Err(c.arg_err()) };
        let mut stanza = Stanza { from: read_from(c, from)?, ..Stanza::default() };
        let to = c.remaining_args();
        if to.is_empty() {
            return Err(c.arg_err());
        }
        while c.next_block() {
            stanza.property(c, setup)?;
        }
        let (expire, max_age) = (stanza.expire, stanza.max_age);
        if max_age > GoDuration::from_secs(0) && max_age < expire {
            return Err(c.bare(format!("max_age ({max_age}) must not be less than expire ({expire})")));
        }
        let files = to.iter().map(|to| Transport::split(to).1).filter(|to| Path::new(to).is_file());
        files.for_each(|file| setup.depends_on_file(file));
        (stanza.targets, stanza.arguments) =
            target::targets(&to, &resolvers_of(&stanza, setup)).map_err(|why| c.bare(why))?;
        stanza.one_name().map_err(|why| c.bare(why))?;
        for Target { label, address, .. } in &stanza.targets {
            if let Err(why) = address {
                tracing::warn!("upstream {} can never be asked: {why}", quote(label));
            }
        }
        Ok(stanza)
    }

    /// Reads the property that the cursor is on.
    fn property(&mut self, c: &mut Cursor<'_>, setup: &Setup<'_>) -> Result<(), ConfigError> {
        match c.val() {
            "except" => self.except.extend(names(&arguments(c)?)),
            "force_tcp" => self.set_protocol(c, Protocol::Tcp)?,
            "prefer_udp" => self.set_protocol(c, Protocol::UdpFirst)?,
            "policy" => self.policy = policy(c)?,
            "source_address" => self.source = Some(source_address(c)?),
            "resolver" => self.resolvers = resolvers(c)?,
            "failfast_all_unhealthy_upstreams" => {
                self.fail_fast = c.remaining_args().is_empty();
                self.fail_fast.then_some(()).ok_or_else(|| c.arg_err())?;
            }
            "health_check" => self.health_check(c)?,
            "next" => self.next.extend(rcodes(c)?),
            "next_on_nodata" => {
                no_argument(c)?;
                self.next_on_nodata = true;
            }
            "failover" => self.failover(c)?,
            "expire" | "max_age" | "read_timeout" => self.duration(c)?,
            "max_fails" | "max_connect_attempts" | "max_idle_conns" | "max_concurrent" => self.number(c)?,
            "tls" => self.identity = identity(c, setup)?,
            "tls_servername" => self.server_name = argument(c)?.to_owned(),
            "doh_method" => self.method = method(c)?,
            property => return Err(c.err(format!("unknown property '{property}'"))),
        }
        Ok(())
    }

    /// Refuses an upstream that is to have two names.
    fn one_name(&self) -> Result<(), String> {
        let two = |t: &&Target| !t.server_name.is_empty() && !self.server_name.is_empty();
        self.targets.iter().find(two).map_or(Ok(()), |Target { label, server_name, .. }| {
            let stanzas = &self.server_name;
            Err(format!(
                "both forward ('{stanzas}') and proxy level ('{server_name}') TLS servernames are set for upstream proxy 'tls://{label}'"
            ))
        })
    }

    /// `force_tcp` counts for more than `prefer_udp`.
    fn set_protocol(&mut self, c: &mut Cursor<'_>, protocol: Protocol) -> Result<(), ConfigError> {
        no_argument(c)?;
        if self.protocol != Protocol::Tcp {
            self.protocol = protocol;
        }
        Ok(())
    }

    fn duration(&mut self, c: &mut Cursor<'_>) -> Result<(), ConfigError> {
        let property = c.val();
        let duration = GoDuration::parse(argument(c)?).map_err(|e| c.bare(e))?;
        let negative = || c.bare(format!("{property} can't be negative: {duration}"));
        match property {
            "read_timeout" => {
                let positive = duration.unsigned().filter(|d| !d.is_zero());
                self.read_timeout =
                    positive.ok_or_else(|| c.bare(format!("read_timeout must be positive: {duration}")))?;
            }
            _ if duration.unsigned().is_none() => return Err(negative()),
            "expire" => self.expire = duration,
            _ => self.max_age = duration,
        }
        Ok(())
    }

    fn number(&mut self, c: &mut Cursor<'_>) -> Result<(), ConfigError> {
        let property = c.val();
        let text = argument(c)?;
        let small = || parse_uint(text, u32::MAX.into()).map(|n| n as u32).map_err(|e| c.bare(e));
        let signed = || {
            let number = parse_int(text).map_err(|e| c.bare(e))?;
            usize::try_from(number).map_err(|_| c.bare(format!("{property} can't be negative: {number}")))
        };
        match property {
            "max_fails" => self.max_fails = small()?,
            "max_connect_attempts" => self.max_attempts = Some(small()?),
            "max_idle_conns" => self.max_idle = signed()?,
            _ => {
                let words = format!("concurrent queries exceeded maximum {text}");
                self.max_concurrent = Some((signed()?, words)).filter(|(max, _)| *max > 0);
            }
        }
        Ok(())
    }

    fn health_check(&mut self, c: &mut Cursor<'_>) -> Result<(), ConfigError> {
        let interval = GoDuration::parse(argument(c)?).map_err(|e| c.bare(e))?;
        let nanoseconds = interval.nanos();
        let negative = |_| c.bare(format!("health_check can't be negative: {nanoseconds}"));
        self.check.interval = u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(negative)?;
        self.check.domain = Name::root();
        while c.next_arg() {
            match c.val() {
                "no_rec" => self.check.recursion = false,
                "domain" => {
                    let domain = argument(c)?;
                    let invalid = |_| c.bare(format!("health_check: invalid domain name {domain}"));
                    self.check.domain = Name::from_text(domain).map_err(invalid)?.to_lower();
                }
                option => return Err(c.bare(format!("health_check: unknown option {option}"))),
            }
        }
        Ok(())
    }

    fn failover(&mut self, c: &mut Cursor<'_>) -> Result<(), ConfigError> {
        for rcode in arguments(c)? {
            match read_rcode(c, rcode)? {
                Rcode::NOERROR => return Err(c.bare("NoError cannot be used in failover")),
                rcode => self.failover.push(rcode),
            }
        }
        Ok(())
    }

    /// The plugin; `followed` says whether another stanza comes behind this one.
    fn build(self, setup: &mut Setup<'_>, followed: bool) -> Result<Forward, ConfigError> {
        let mut check = self.check;
        if self.protocol == Protocol::Tcp {
            check.proto = Proto::Tcp;
        }
        let duration = |d: GoDuration| d.unsigned().unwrap_or_default();
        let keep = Keep {
            expire: duration(self.expire),
            max_age: Some(duration(self.max_age)).filter(|age| !age.is_zero()),
            max_idle: self.max_idle,
        };
        let is_secure = self.targets.iter().any(|target| target.transport != Transport::Dns);
        let secure = is_secure.then(|| self.identity.secure(&self.server_name));
        if secure.is_some() && self.identity.trusts_the_system() {
            setup.depends_on(tls::system_roots_fingerprint);
        }
        let settings =
            Settings { keep, read_timeout: self.read_timeout, source: self.source, check, secure, method: self.method };
        let upstreams: Result<Vec<_>, _> =
            self.targets.into_iter().map(|target| Upstream::of(setup, target, settings.clone())).collect();
        let upstreams = upstreams?;
        let unlimited = |n: u32| if n == 0 { u32::MAX } else { n };
        let twice = u32::try_from(2 * upstreams.len()).unwrap_or(u32::MAX);
        Ok(Forward {
            from: self.from,
            except: self.except,
            read_timeout: self.read_timeout,
            max_attempts: self.max_attempts.map_or(twice, unlimited),
            max_sent: self.max_attempts.map_or(u32::MAX, unlimited),
            upstreams,
            policy: self.policy,
            protocol: self.protocol,
            max_fails: self.max_fails,
            max_concurrent: self.max_concurrent,
            in_flight: InFlight::default(),
            together: Together::default(),
            fail_fast: self.fail_fast,
            failover: self.failover,
            next: if followed { self.next } else { Vec::new() },
            next_on_nodata: self.next_on_nodata && followed,
            alarms: Alarms::new(setup.clock()),
            clock: setup.clock(),
            metrics: Directive::new(),
        })
    }
}

/// Who is asked for the addresses of upstreams.
fn resolvers_of(stanza: &Stanza, setup: &Setup<'_>) -> Resolvers {
    match setup.purpose() {
        Purpose::Serve => Resolvers::new(&stanza.resolvers, setup.clock()),
        Purpose::Check => Resolvers::nobody(setup.clock()),
    }
}

/// The zone that is forwarded; of a network's zones the first.
fn read_from(c: &Cursor<'_>, from: &str) -> Result<Name, ConfigError> {
    let zones = zones(from);
    let unreadable = || c.bare(format!("unable to normalize '{from}'"));
    let first = zones.first().ok_or_else(unreadable)?;
    if zones.len() > 1 {
        tracing::warn!("Unsupported CIDR notation: '{from}' expands to multiple zones. Using only '{first}'.");
    }
    name(first).ok_or_else(unreadable)
}

/// A zone in lower case.
fn name(zone: &str) -> Option<Name> {
    Name::from_text(zone).ok().map(|name| name.to_lower())
}

/// The next argument.
fn argument<'a>(c: &mut Cursor<'a>) -> Result<&'a str, ConfigError> {
    if c.next_arg() { Ok(c.val()) } else { Err(c.arg_err()) }
}

/// All arguments, of which there is at least one.
fn arguments<'a>(c: &mut Cursor<'a>) -> Result<Vec<&'a str>, ConfigError> {
    let arguments = c.remaining_args();
    if arguments.is_empty() { Err(c.arg_err()) } else { Ok(arguments) }
}

fn no_argument(c: &mut Cursor<'_>) -> Result<(), ConfigError> {
    if c.next_arg() { Err(c.arg_err()) } else { Ok(()) }
}

fn policy(c: &mut Cursor<'_>) -> Result<Policy, ConfigError> {
    match argument(c)? {
        "random" => Ok(Policy::Random),
        "round_robin" => Ok(Policy::RoundRobin(AtomicUsize::new(0))),
        "sequential" => Ok(Policy::Sequential),
        policy => Err(c.err(format!("unknown policy '{policy}'"))),
    }
}

fn source_address(c: &mut Cursor<'_>) -> Result<IpAddr, ConfigError> {
    let text = argument(c)?;
    text.parse().map_err(|_| c.err(format!("invalid IP address: {text}")))
}

fn resolvers(c: &mut Cursor<'_>) -> Result<Vec<String>, ConfigError> {
    let resolvers = arguments(c)?;
    for resolver in &resolvers {
        let host = split_host_port(resolver).map_or(*resolver, |(host, _)| host);
        if host.parse::<IpAddr>().is_err() {
            return Err(c.bare(format!("resolver must be an IP address or IP:port: {}", quote(resolver))));
        }
    }
    Ok(resolvers.into_iter().map(str::to_owned).collect())
}

fn rcodes(c: &mut Cursor<'_>) -> Result<Vec<Rcode>, ConfigError> {
    arguments(c)?.into_iter().map(|rcode| read_rcode(c, rcode)).collect()
}

/// A response code by its name, whatever its case.
fn read_rcode(c: &Cursor<'_>, text: &str) -> Result<Rcode, ConfigError> {
    let upper = text.to_uppercase();
    let known = if upper == "NOTIMPL" { "NOTIMP" } else { &upper };
    known.parse().map_err(|_| c.bare(format!("{text} is not a valid rcode")))
}

/// `[CERT KEY] [CA]`.
fn identity(c: &mut Cursor<'_>, setup: &Setup<'_>) -> Result<Identity, ConfigError> {
    let files: Vec<String> = c.remaining_args().into_iter().map(|file| setup.path(file)).collect();
    if files.len() > 3 {
        return Err(c.arg_err());
    }
    files.iter().for_each(|file| setup.depends_on_file(file));
    Identity::read(&files).map_err(|why| c.bare(why))
}

fn method(c: &mut Cursor<'_>) -> Result<Method, ConfigError> {
    match argument(c)? {
        "POST" => Ok(Method::Post),
        "GET" => Ok(Method::Get),
        _ => Err(c.bare("doh_method must be either POST or GET")),
    }
}
