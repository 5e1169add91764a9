//! The table of the language's functions: what they take and return, and what does it.

use super::functions as run;
use super::numbers;
use super::time;
use super::types::{Shape, Type};
use super::value::{Failure, Meter, Value};

/// A function of the language.
#[derive(Debug)]
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// What it takes and returns.
    pub rule: Rule,
    /// What does it; the checker has seen to what is known of the arguments, and their number is right.
    pub run: for<'v, 'a> fn(&Meter, &'v [Value<'a>]) -> Result<Value<'a>, Failure>,
}

/// What a function takes and returns.
#[derive(Debug)]
pub enum Rule {
    /// One of these lists of parameters, with what is returned.
    Overloads(&'static [(&'static [Type], Type)]),
    /// The types of the arguments tell the type of the result, or what is wrong.
    Types(fn(&str, &[Type]) -> Result<Type, String>),
    /// The first argument is a list or a map, the second an index or a key.
    Get,
}

impl Builtin {
    /// The function of a name. `type` is none: it is one about the query.
    pub fn named(name: &str) -> Option<&'static Builtin> {
        BUILTINS.iter().find(|b| b.name == name)
    }
}

const ANY: Type = Type::Any;
const TEXT: Type = Type::Text;
const INT: Type = Type::Int;
const LIST: Type = Type::List(None);
const TEXTS: Type = Type::Texts;

const TWO_TEXTS: &[Type] = &[TEXT, TEXT];
const TWO_INTS: Rule = Rule::Overloads(&[(&[INT, INT], INT)]);
const SPLIT: Rule = Rule::Overloads(&[(TWO_TEXTS, TEXTS), (&[TEXT, TEXT, INT], TEXTS)]);
const TRIM: Rule = Rule::Overloads(&[(TWO_TEXTS, TEXT), (&[TEXT], TEXT)]);
const TEXT_TO_TEXT: Rule = Rule::Overloads(&[(&[TEXT], TEXT)]);
const FIND: Rule = Rule::Overloads(&[(TWO_TEXTS, INT)]);
const STARTS: Rule = Rule::Overloads(&[(TWO_TEXTS, Type::Bool)]);
const JOIN: Rule = Rule::Overloads(&[(&[LIST, TEXT], TEXT), (&[LIST], TEXT), (&[TEXTS, TEXT], TEXT), (&[TEXTS], TEXT)]);
const SORT: Rule = Rule::Overloads(&[
    (&[LIST, TEXT], LIST),
    (&[TEXTS, TEXT], LIST),
    (&[LIST], LIST),
    (&[TEXTS], LIST),
    (&[Type::Ints], LIST),
]);

macro_rules! table {
    ($($name:literal $rule:expr, $run:expr;)*) => {
        /// All of them.
        static BUILTINS: &[Builtin] = &[$(Builtin { name: $name, rule: $rule, run: $run }),*];
    };
}

table! {
    "len" Rule::Types(len), run::len;
    "string" Rule::Overloads(&[(&[ANY], TEXT)]), run::string;
    "trim" Rule::Overloads(&[(&[TEXT], TEXT), (TWO_TEXTS, TEXT)]), run::trim;
    "trimPrefix" TRIM, run::trim_prefix;
    "trimSuffix" TRIM, run::trim_suffix;
    "upper" TEXT_TO_TEXT, run::upper;
    "lower" TEXT_TO_TEXT, run::lower;
    "split" SPLIT, run::split;
    "splitAfter" SPLIT, run::split_after;
    "replace" Rule::Overloads(&[(&[TEXT, TEXT, TEXT, INT], TEXT), (&[TEXT, TEXT, TEXT], TEXT)]), run::replace;
    "repeat" Rule::Overloads(&[(&[TEXT, INT], TEXT)]), run::repeat;
    "join" JOIN, run::join;
    "indexOf" FIND, run::index_of;
    "lastIndexOf" FIND, run::last_index_of;
    "hasPrefix" STARTS, run::has_prefix;
    "hasSuffix" STARTS, run::has_suffix;
    "abs" Rule::Types(abs), numbers::abs;
    "ceil" Rule::Types(rounding), numbers::ceil;
    "floor" Rule::Types(rounding), numbers::floor;
    "round" Rule::Types(rounding), numbers::round;
    "int" Rule::Types(int), numbers::int;
    "float" Rule::Types(float), numbers::float;
    "max" Rule::Types(aggregate), numbers::max;
    "min" Rule::Types(aggregate), numbers::min;
    "mean" Rule::Types(aggregate), numbers::mean;
    "median" Rule::Types(aggregate), numbers::median;
    "bitand" TWO_INTS, numbers::bitand;
    "bitor" TWO_INTS, numbers::bitor;
    "bitxor" TWO_INTS, numbers::bitxor;
    "bitnand" TWO_INTS, numbers::bitnand;
    "bitshl" TWO_INTS, numbers::bitshl;
    "bitshr" TWO_INTS, numbers::bitshr;
    "bitushr" TWO_INTS, numbers::bitushr;
    "bitnot" Rule::Overloads(&[(&[INT], INT)]), numbers::bitnot;
    "first" Rule::Types(first), run::first;
    "last" Rule::Types(last), run::last;
    "get" Rule::Get, run::get;
    "take" Rule::Types(take), run::take;
    "keys" Rule::Types(keys), run::keys;
    "values" Rule::Types(values), run::values;
    "toPairs" Rule::Types(to_pairs), run::to_pairs;
    "fromPairs" Rule::Types(from_pairs), run::from_pairs;
    "reverse" Rule::Types(over_list), run::reverse;
    "uniq" Rule::Types(over_list), run::uniq;
    "flatten" Rule::Types(over_list), run::flatten;
    "concat" Rule::Types(concat), run::concat;
    "sort" SORT, run::sort;
    "now" Rule::Types(now), time::now;
    "duration" Rule::Overloads(&[(&[TEXT], Type::Duration)]), time::duration;
    "date" Rule::Types(date), time::date;
    "timezone" Rule::Overloads(&[(&[TEXT], Type::Zone)]), time::timezone;
}

/// Functions of the language that are known and refused.
pub const NOT_YET: &[&str] = &["toJSON", "fromJSON", "toBase64", "fromBase64"];

/// What is behind a pointer.
fn shape(of: &Type) -> Shape {
    of.clone().pointed_to().shape()
}

/// The only argument.
fn one(arguments: &[Type]) -> Result<&Type, String> {
    match arguments {
        [argument] => Ok(argument),
        more => Err(format!("invalid number of arguments (expected 1, got {})", more.len())),
    }
}

/// A type in a message where Go prints one that may be missing.
fn shown(of: &Type) -> String {
    if *of == Type::Nil { "%!s(<nil>)".into() } else { of.to_string() }
}

fn invalid(name: &str, of: &Type) -> String {
    format!("invalid argument for {name} (type {})", shown(of))
}

fn is_number(shape: Shape) -> bool {
    matches!(shape, Shape::Float | Shape::Int | Shape::Int64 | Shape::Uint8)
}

fn is_list(shape: Shape) -> bool {
    matches!(shape, Shape::Slice | Shape::Interface)
}

fn is_map(shape: Shape) -> bool {
    matches!(shape, Shape::Map | Shape::Interface)
}

fn len(name: &str, arguments: &[Type]) -> Result<Type, String> {
    let of = one(arguments)?;
    match shape(of) {
        Shape::Map | Shape::Slice | Shape::String | Shape::Interface => Ok(INT),
        _ => Err(invalid(name, of)),
    }
}

fn abs(name: &str, arguments: &[Type]) -> Result<Type, String> {
    let of = one(arguments)?;
    match shape(of) {
        Shape::Interface => Ok(of.clone()),
        number if is_number(number) => Ok(of.clone()),
        _ => Err(invalid(name, of)),
    }
}

fn rounding(name: &str, arguments: &[Type]) -> Result<Type, String> {
    abs(name, arguments).map(|_| Type::Float)
}

fn int(name: &str, arguments: &[Type]) -> Result<Type, String> {
    let of = one(arguments)?;
    match shape(of) {
        Shape::Interface | Shape::String => Ok(INT),
        number if is_number(number) => Ok(INT),
        _ => Err(invalid(name, of)),
    }
}

fn float(name: &str, arguments: &[Type]) -> Result<Type, String> {
    int(name, arguments).map(|_| Type::Float)
}

fn aggregate(name: &str, arguments: &[Type]) -> Result<Type, String> {
    for argument in arguments {
        match shape(argument) {
            list if is_list(list) => return Ok(ANY),
            number if is_number(number) => (),
            _ => return Err(invalid(name, argument)),
        }
    }
    arguments.first().cloned().ok_or_else(|| format!("not enough arguments to call {name}"))
}

/// The element at one of the ends of a list.
fn end(which: &str, arguments: &[Type]) -> Result<Type, String> {
    let of = one(arguments)?;
    match shape(of) {
        Shape::Interface => Ok(ANY),
        Shape::Slice => Ok(if *of == TEXTS { TEXT } else { ANY }),
        _ => Err(format!("cannot get {which} element from {}", shown(of))),
    }
}

fn first(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    end("first", arguments)
}

fn last(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    end("last", arguments)
}

fn take(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    let [list, count] = arguments else {
        return Err(format!("invalid number of arguments (expected 2, got {})", arguments.len()));
    };
    if !is_list(shape(list)) {
        return Err(format!("cannot take from {}", shown(list)));
    }
    match shape(count) {
        Shape::Interface | Shape::Int | Shape::Int64 => {
            Ok(if list.is_list() && *list != TEXTS { LIST } else { list.clone() })
        }
        _ => Err(format!("cannot take {} elements", shown(count))),
    }
}

/// What makes a list of a map.
fn of_map(what: &str, arguments: &[Type]) -> Result<Type, String> {
    let of = one(arguments)?;
    if is_map(shape(of)) { Ok(LIST) } else { Err(what.replace("{}", &shown(of))) }
}

fn keys(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    of_map("cannot get keys from {}", arguments)
}

fn values(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    of_map("cannot get values from {}", arguments)
}

fn to_pairs(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    of_map("cannot transform {} to pairs", arguments)
}

fn from_pairs(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    let of = one(arguments)?;
    if is_list(shape(of)) { Ok(Type::AnyMap) } else { Err(format!("cannot transform {} from pairs", shown(of))) }
}

fn over_list(name: &str, arguments: &[Type]) -> Result<Type, String> {
    let of = one(arguments)?;
    if is_list(shape(of)) { Ok(LIST) } else { Err(format!("cannot {name} {}", shown(of))) }
}

fn concat(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    if arguments.is_empty() {
        return Err("invalid number of arguments (expected at least 1, got 0)".into());
    }
    match arguments.iter().find(|of| !is_list(shape(of))) {
        Some(of) => Err(format!("cannot concat {}", shown(of))),
        None => Ok(LIST),
    }
}

fn now(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    match arguments {
        [] | [Type::Zone] => Ok(Type::Time),
        more => Err(format!("invalid number of arguments (expected 0, got {})", more.len())),
    }
}

fn date(_name: &str, arguments: &[Type]) -> Result<Type, String> {
    let rest = if let [Type::Zone, rest @ ..] = arguments { rest } else { arguments };
    match (arguments.len(), rest.len()) {
        (0, _) => Err("invalid number of arguments (expected at least 1, got 0)".into()),
        (_, 0 | 1) => Ok(Type::Time),
        (_, 2 | 3) => Err("date with a layout is not supported yet".into()),
        (_, more) => Err(format!("invalid number of arguments (expected at most 3, got {more})")),
    }
}
