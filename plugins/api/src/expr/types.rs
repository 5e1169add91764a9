//! Types, as far as they are known before a query comes; names and relations are those of Go.

use super::environment::Function;
use std::fmt;
use std::sync::Arc;

/// What is known of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Nothing.
    Unknown,
    /// Any value, as Go declares it; nothing is known of it either.
    Any,
    /// A variable of which nothing is known.
    Variable,
    /// It is `nil`.
    Nil,
    /// A truth value.
    Bool,
    /// A whole number.
    Int,
    /// A whole number: an octet.
    Byte,
    /// A number with a fraction.
    Float,
    /// A text.
    Text,
    /// A list of anything; what is known of the elements.
    List(Option<Arc<Type>>),
    /// A list of texts.
    Texts,
    /// A list of whole numbers: a parameter in messages, the type of no value.
    Ints,
    /// A map with texts as keys.
    Map,
    /// A map with any keys.
    AnyMap,
    /// A map of lists; what is known of these.
    Groups(Arc<Type>),
    /// A function of the environment.
    Function(Function),
    /// A point of time.
    Time,
    /// A span of time.
    Duration,
    /// A month.
    Month,
    /// A day of the week.
    Weekday,
    /// A time zone.
    Zone,
}

/// Go's kinds of types, as far as rules ask for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Invalid,
    Interface,
    Pointer,
    Bool,
    Int,
    Int64,
    Uint8,
    Float,
    String,
    Slice,
    Map,
    Func,
    Struct,
}

impl Type {
    /// A list of such elements.
    pub fn list(self) -> Type {
        Type::List(Some(Arc::new(self)))
    }

    /// Go's kind.
    pub fn shape(&self) -> Shape {
        match self {
            Type::Unknown | Type::Nil => Shape::Invalid,
            Type::Any => Shape::Interface,
            Type::Variable | Type::Zone => Shape::Pointer,
            Type::Bool => Shape::Bool,
            Type::Int | Type::Month | Type::Weekday => Shape::Int,
            Type::Duration => Shape::Int64,
            Type::Byte => Shape::Uint8,
            Type::Float => Shape::Float,
            Type::Text => Shape::String,
            Type::List(_) | Type::Texts | Type::Ints => Shape::Slice,
            Type::Map | Type::AnyMap | Type::Groups(_) => Shape::Map,
            Type::Function(_) => Shape::Func,
            Type::Time => Shape::Struct,
        }
    }

    /// The type behind a pointer.
    pub fn pointed_to(self) -> Type {
        if self == Type::Variable { Type::Any } else { self }
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Type::Unknown | Type::Any)
    }

    /// Whether it counts as a whole number.
    pub fn is_integer(&self) -> bool {
        matches!(self, Type::Int | Type::Byte)
    }

    /// Whether it counts as a number.
    pub fn is_number(&self) -> bool {
        self.is_integer() || *self == Type::Float
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        self.shape() == Shape::Slice
    }

    /// Whether it is a map.
    pub fn is_map(&self) -> bool {
        self.shape() == Shape::Map
    }

    /// What is known of the elements of a list, or of the values of a map.
    pub fn element(&self) -> Type {
        match self {
            Type::List(Some(element)) => (**element).clone(),
            Type::Groups(group) => (**group).clone(),
            Type::Texts => Type::Text,
            Type::List(None) | Type::Map | Type::AnyMap => Type::Any,
            _ => Type::Unknown,
        }
    }

    /// The keys of a map.
    pub fn key(&self) -> Type {
        if *self == Type::Map { Type::Text } else { Type::Any }
    }

    /// Whether Go lets it be assigned to `to`.
    pub fn assignable(&self, to: &Type) -> bool {
        let takes_nil = [Shape::Pointer, Shape::Interface, Shape::Func, Shape::Map, Shape::Slice];
        match (self, to) {
            (Type::Nil, to) => takes_nil.contains(&to.shape()),
            (Type::Unknown, _) | (_, Type::Unknown | Type::Nil) => false,
            (_, Type::Any) | (Type::List(_), Type::List(_)) | (Type::Groups(_), Type::Groups(_)) => true,
            (Type::Function(a), Type::Function(b)) => a.signature().text == b.signature().text,
            (a, b) => a == b,
        }
    }

    /// Whether `==` can compare it with `other`.
    pub fn comparable(&self, other: &Type) -> bool {
        let both = |is: fn(&Type) -> bool| is(self) && is(other);
        self.is_unknown()
            || other.is_unknown()
            || *self == Type::Nil
            || *other == Type::Nil
            || both(Type::is_number)
            || both(Type::is_list)
            || self.assignable(other)
    }

    /// Whether it may turn out that both are what one of `checks` asks for, as at least one is unknown.
    pub fn maybe(&self, other: &Type, checks: &[fn(&Type) -> bool]) -> bool {
        let fits = |t: &Type| checks.iter().any(|check| check(t));
        match (self.is_unknown(), other.is_unknown()) {
            (true, true) => true,
            (true, false) => fits(other),
            (false, true) => fits(self),
            (false, false) => false,
        }
    }
}

/// Go's name of the type.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Unknown | Type::Nil => "unknown",
            Type::Any => "interface {}",
            Type::Variable => "*interface {}",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Byte => "uint8",
            Type::Float => "float64",
            Type::Text => "string",
            Type::List(_) => "[]interface {}",
            Type::Texts => "[]string",
            Type::Ints => "[]int",
            Type::Map => "map[string]interface {}",
            Type::AnyMap => "map[interface {}]interface {}",
            Type::Groups(_) => "map[interface {}][]interface {}",
            Type::Function(function) => function.signature().text,
            Type::Time => "time.Time",
            Type::Duration => "time.Duration",
            Type::Month => "time.Month",
            Type::Weekday => "time.Weekday",
            Type::Zone => "*time.Location",
        })
    }
}
