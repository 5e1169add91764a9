//! What expressions can ask about a query: functions, and what answers them.

use super::types::Type;
use super::value::{Failure, Value};
use crate::clock::Clock;
use crate::corefile::value::parse_cidr;
use crate::query::Query;
use std::cell::OnceCell;
use std::fmt::{self, Write};
use std::net::IpAddr;

/// A function about the query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the table below says it")]
pub enum Function {
    InCidr,
    Metadata,
    Group,
    Type,
    Name,
    Class,
    Protocol,
    Size,
    ClientIp,
    Port,
    Id,
    Opcode,
    DnssecOk,
    BufferSize,
    ServerIp,
    ServerPort,
}

/// How a function is called.
pub struct Signature {
    function: Function,
    /// The name that calls it.
    pub name: &'static str,
    /// Its type as Go writes it.
    pub text: &'static str,
    /// What it takes.
    pub parameters: &'static [Type],
    /// What it returns.
    pub result: Type,
}

const fn text(function: Function, name: &'static str) -> Signature {
    Signature { function, name, text: "func() string", parameters: &[], result: Type::Text }
}

const fn number(function: Function, name: &'static str) -> Signature {
    Signature { function, name, text: "func() int", parameters: &[], result: Type::Int }
}

/// In the order of [`Function`].
static SIGNATURES: &[Signature] = &[
    Signature {
        function: Function::InCidr,
        name: "incidr",
        text: "func(string, string) (bool, error)",
        parameters: &[Type::Text, Type::Text],
        result: Type::Bool,
    },
    Signature {
        function: Function::Metadata,
        name: "metadata",
        text: "func(string) string",
        parameters: &[Type::Text],
        result: Type::Text,
    },
    Signature {
        function: Function::Group,
        name: "group",
        text: "func(interface {}) string",
        parameters: &[Type::Any],
        result: Type::Text,
    },
    text(Function::Type, "type"),
    text(Function::Name, "name"),
    text(Function::Class, "class"),
    text(Function::Protocol, "proto"),
    number(Function::Size, "size"),
    text(Function::ClientIp, "client_ip"),
    text(Function::Port, "port"),
    number(Function::Id, "id"),
    number(Function::Opcode, "opcode"),
    Signature { function: Function::DnssecOk, name: "do", text: "func() bool", parameters: &[], result: Type::Bool },
    number(Function::BufferSize, "bufsize"),
    text(Function::ServerIp, "server_ip"),
    text(Function::ServerPort, "server_port"),
];

impl Function {
    /// How it is called.
    pub fn signature(self) -> &'static Signature {
        &SIGNATURES[self as usize]
    }
}

/// The names that an expression may use, beside those of the language.
#[derive(Clone, Default)]
pub struct Names {
    groups: bool,
    variables: Vec<(String, Type)>,
}

impl Names {
    /// The functions about a query.
    pub fn of_query() -> Names {
        Names::default()
    }

    /// Adds `group`: what the groups of a regular expression matched.
    pub fn with_groups(self) -> Names {
        Names { groups: true, ..self }
    }

    /// Adds a variable; its value stands at the same place in the list that evaluating is given.
    pub fn add_variable(&mut self, name: &str, value: Type) {
        let value = if value.is_unknown() || value == Type::Nil { Type::Variable } else { value };
        self.variables.push((name.to_owned(), value));
    }

    /// The function of a name.
    pub fn function(&self, name: &str) -> Option<Function> {
        let found = SIGNATURES.iter().find(|s| s.name == name).map(|s| s.function);
        found.filter(|f| self.groups || *f != Function::Group)
    }

    /// The place and the type of a variable.
    pub fn variable(&self, name: &str) -> Option<(usize, &Type)> {
        let place = self.variables.iter().position(|v| v.0 == name)?;
        Some((place, &self.variables[place].1))
    }

    /// The type of the variable at this place.
    pub fn variable_type(&self, place: usize) -> Type {
        self.variables.get(place).map_or(Type::Unknown, |v| v.1.clone())
    }

    /// Whether a name means something here.
    pub fn has(&self, name: &str) -> bool {
        self.function(name).is_some() || self.variable(name).is_some()
    }
}

/// What the groups of a regular expression matched.
pub trait Groups {
    /// The text of a group, by its number or name.
    fn group(&self, name: &str) -> Option<&str>;
}

/// The query that an expression is about. Texts are made when they are first asked for, and kept.
pub struct Facts<'a> {
    q: &'a Query,
    clock: &'a Clock,
    groups: Option<&'a dyn Groups>,
    name: OnceCell<Short<1024>>,
    rtype: OnceCell<Short<16>>,
    class: OnceCell<Short<16>>,
    client: OnceCell<Short<48>>,
    server: OnceCell<Short<48>>,
    ports: [OnceCell<Short<8>>; 2],
}

impl<'a> Facts<'a> {
    /// About this query, at this time.
    pub fn new(q: &'a Query, clock: &'a Clock) -> Facts<'a> {
        Facts {
            q,
            clock,
            groups: None,
            name: OnceCell::new(),
            rtype: OnceCell::new(),
            class: OnceCell::new(),
            client: OnceCell::new(),
            server: OnceCell::new(),
            ports: [OnceCell::new(), OnceCell::new()],
        }
    }

    /// With what groups matched.
    pub fn with_groups(self, groups: &'a dyn Groups) -> Facts<'a> {
        Facts { groups: Some(groups), ..self }
    }

    /// The time.
    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Calls a function; the checker has seen to the arguments.
    pub(super) fn call(&'a self, function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
        let q = self.q;
        Ok(match function {
            Function::InCidr => {
                let [ip, network] = arguments else { return Err(Failure::new("wrong number of arguments")) };
                Value::Bool(in_cidr(ip.text()?, network.text()?)?)
            }
            Function::Metadata => {
                let label = arguments.first().map_or(Ok(""), Value::text)?;
                q.metadata(label).map_or(Value::Text("".into()), |value| Value::owned(&value))
            }
            Function::Group => Value::Text(self.group(arguments.first()).into()),
            Function::Type => short(&self.rtype, q.rtype()),
            Function::Name => short(&self.name, q.name()),
            Function::Class => short(&self.class, q.question.class),
            Function::Protocol => Value::Text(q.transport.proto().into()),
            Function::Size => int(q.asked_len()),
            Function::ClientIp => short(&self.client, q.client.ip().to_canonical()),
            Function::Port => short(&self.ports[0], q.client.port()),
            Function::Id => Value::Int(q.id().into()),
            Function::Opcode => Value::Int(q.opcode().0.into()),
            Function::DnssecOk => Value::Bool(q.dnssec_ok()),
            Function::BufferSize => int(q.size_limit()),
            // CoreDNS does not know the address of a socket that is bound to none.
            Function::ServerIp if q.on_all_addresses() => Value::Text("::".into()),
            Function::ServerIp => short(&self.server, q.local.ip().to_canonical()),
            Function::ServerPort => short(&self.ports[1], q.local.port()),
        })
    }

    fn group(&self, name: Option<&Value<'_>>) -> &'a str {
        let Some(groups) = self.groups else { return "" };
        let found = match name {
            Some(Value::Text(name)) => groups.group(name),
            Some(Value::Int(number)) => groups.group(&number.to_string()),
            _ => None,
        };
        found.unwrap_or_default()
    }
}

fn int<'a>(n: usize) -> Value<'a> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn short<'a, const N: usize>(cell: &'a OnceCell<Short<N>>, value: impl fmt::Display) -> Value<'a> {
    Value::Text(cell.get_or_init(|| Short::of(value)).as_str().into())
}

/// Whether an address is in a network; IPv4 addresses inside of IPv6 count as IPv4 (Go's `IPNet.Contains`).
fn in_cidr(ip: &str, network: &str) -> Result<bool, Failure> {
    let ip: IpAddr = ip.parse().map_err(|_| Failure::new("first argument is not an IP address"))?;
    let (base, length) = parse_cidr(network).ok_or_else(|| Failure::new("second argument is no network"))?;
    Ok(match (ip.to_canonical(), base) {
        (IpAddr::V4(ip), IpAddr::V4(base)) => same_start(ip.to_bits().into(), base.to_bits().into(), 32, length),
        (IpAddr::V4(ip), IpAddr::V6(base)) => {
            length >= 96 && same_start(ip.to_ipv6_mapped().to_bits(), base.to_bits(), 128, length)
        }
        (IpAddr::V6(ip), IpAddr::V6(base)) => same_start(ip.to_bits(), base.to_bits(), 128, length),
        (IpAddr::V6(_), IpAddr::V4(_)) => false,
    })
}

/// Whether the first `length` bits of `width` are the same.
fn same_start(a: u128, b: u128, width: u8, length: u8) -> bool {
    (a ^ b).checked_shr(u32::from(width.saturating_sub(length))).unwrap_or(0) == 0
}

/// A short text without an allocation; what does not fit is cut off.
struct Short<const N: usize> {
    octets: [u8; N],
    len: usize,
}

impl<const N: usize> Short<N> {
    fn of(value: impl fmt::Display) -> Short<N> {
        let mut short = Short { octets: [0; N], len: 0 };
        // Only what does not fit is an error.
        let _ = write!(short, "{value}");
        short
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.octets[..self.len]).unwrap_or_default()
    }
}

impl<const N: usize> Write for Short<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.octets.get_mut(self.len..self.len + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
