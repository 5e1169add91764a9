//! Members and calls.

use super::{Body, Checked, Checker, environment_member, mistake};
use crate::expr::Mistake;
use crate::expr::builtin::{Builtin, NOT_YET, Rule};
use crate::expr::time;
use crate::expr::tree::{Each, Kind, Member, Node};
use crate::expr::types::{Shape, Type};

impl Checker<'_> {
    pub(super) fn member(&mut self, at: usize, member: &mut Member) -> Checked {
        let base = self.visit(&mut member.base)?;
        let property = self.visit(&mut member.property)?;
        if base.is_unknown() {
            return Ok(Type::Unknown);
        }
        let name = if let Kind::Text(name) = &member.property.kind { Some(&**name) } else { None };
        if let (Type::Nil, Some(name)) = (&base, name) {
            return mistake(at, format!("type nil has no field {name}"));
        }
        let base = base.pointed_to();
        match base.shape() {
            Shape::Map => {
                let (key, property) = (base.key(), property.pointed_to());
                if !property.assignable(&key) && !property.is_unknown() {
                    return mistake(member.property.at, format!("cannot use {property} to get an element from {base}"));
                }
                return Ok(base.element());
            }
            Shape::Slice => {
                let property = property.pointed_to();
                if !property.is_integer() && !property.is_unknown() {
                    let words = "array elements can only be selected using an integer";
                    return mistake(member.property.at, format!("{words} (got {property})"));
                }
                return Ok(base.element());
            }
            _ => (),
        }
        match name {
            Some(name) if time::is_left_out(&base, name) => {
                let how = if member.method { "" } else { " that is not called" };
                mistake(at, format!("method {name} of {base}{how} is not supported yet"))
            }
            Some(name) if member.method => mistake(at, format!("type {base} has no method {name}")),
            Some(name) => mistake(at, format!("type {base} has no field {name}")),
            None => mistake(at, format!("type {base}[{property}] is undefined")),
        }
    }

    pub(super) fn call(&mut self, at: usize, callee: &mut Node, arguments: &mut [Node]) -> Checked {
        if let Kind::Name(name) = &callee.kind
            && NOT_YET.contains(&&**name)
        {
            return mistake(at, format!("function {name} is not supported yet"));
        }
        if let Kind::Member(member) = &mut callee.kind
            && environment_member(member).is_none()
            && let (true, Kind::Text(name)) = (member.method, &member.property.kind)
        {
            let (of, name) = (self.visit(&mut member.base)?, name.clone());
            if let Some(method) = time::method(&of, &name) {
                self.arguments(at, &name, method.parameters, arguments)??;
                return Ok(method.result.clone());
            }
        }
        let of = self.visit(callee)?;
        let name = match &callee.kind {
            Kind::Member(member) => match &member.property.kind {
                Kind::Text(name) => name.to_string(),
                _ => "function".to_owned(),
            },
            Kind::Function(function) => function.signature().name.to_owned(),
            _ => "function".to_owned(),
        };
        let Type::Function(function) = of else {
            if !of.is_unknown() {
                return mistake(
                    at,
                    match of {
                        Type::Nil => format!("{name} is nil; cannot call nil as function"),
                        of => format!("{of} is not callable"),
                    },
                );
            }
            for argument in arguments {
                self.visit(argument)?;
            }
            return Ok(Type::Unknown);
        };
        let signature = function.signature();
        self.arguments(at, &name, signature.parameters, arguments)??;
        Ok(signature.result.clone())
    }

    /// Whether arguments fit to parameters; what is wrong in the arguments themselves comes first.
    fn arguments(
        &mut self,
        at: usize,
        name: &str,
        parameters: &[Type],
        arguments: &mut [Node],
    ) -> Result<Result<(), Mistake>, Mistake> {
        if arguments.len() != parameters.len() {
            for argument in arguments.iter_mut() {
                self.visit(argument)?;
            }
            let count = if arguments.len() > parameters.len() { "too many" } else { "not enough" };
            return Ok(mistake(at, format!("{count} arguments to call {name}")));
        }
        for (argument, parameter) in arguments.iter_mut().zip(parameters) {
            let of = self.visit(argument)?;
            let fits = fits(argument.at, name, &of, parameter);
            if fits.is_err() {
                return Ok(fits);
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn builtin(&mut self, at: usize, builtin: &Builtin, arguments: &mut [Node]) -> Checked {
        let types = |checker: &mut Self, arguments: &mut [Node]| {
            let types = arguments.iter_mut().map(|argument| checker.visit(argument));
            types.collect::<Result<Vec<Type>, Mistake>>()
        };
        match &builtin.rule {
            Rule::Get => self.get(at, arguments),
            Rule::Types(rule) => {
                let known = |t: Type| if t.is_unknown() { Type::Any } else { t };
                let types: Vec<Type> = types(self, arguments)?.into_iter().map(known).collect();
                rule(builtin.name, &types).map_err(|words| Mistake::new(at, words))
            }
            Rule::Overloads(overloads) => {
                let mut last = None;
                for (parameters, result) in *overloads {
                    // Wrong names in the arguments are told before wrong types.
                    match self.arguments(at, builtin.name, parameters, arguments)? {
                        Ok(()) => return Ok(result.clone()),
                        Err(mistake) => last = Some(mistake),
                    }
                }
                last.map_or(Ok(Type::Unknown), Err)
            }
        }
    }

    fn get(&mut self, at: usize, arguments: &mut [Node]) -> Checked {
        let [base, property] = arguments else {
            return mistake(at, format!("invalid number of arguments (expected 2, got {})", arguments.len()));
        };
        let (of, key) = (self.visit(base)?, self.visit(property)?.pointed_to());
        match of.shape() {
            _ if of.is_unknown() => Ok(Type::Unknown),
            Shape::Slice if !key.is_integer() && !key.is_unknown() => {
                mistake(property.at, format!("non-integer slice index {key}"))
            }
            Shape::Map if !key.assignable(&of.key()) && !key.is_unknown() => {
                mistake(property.at, format!("cannot use {key} to get an element from {of}"))
            }
            Shape::Slice | Shape::Map => Ok(of.element()),
            _ => mistake(base.at, format!("type {of} does not support indexing")),
        }
    }

    /// A function with a body.
    pub(super) fn each(&mut self, each: Each, arguments: &mut [Node]) -> Checked {
        let Some((list, rest)) = arguments.split_first_mut() else { return Ok(Type::Unknown) };
        let of = self.visit(list)?.pointed_to();
        if !of.is_list() && !of.is_unknown() {
            return mistake(list.at, format!("builtin {} takes only array (got {of})", each.name()));
        }
        let body = match rest.first_mut() {
            None => None,
            Some(node) => {
                self.bodies.push(Body { list: of.clone(), each });
                let body = self.visit(node);
                self.bodies.pop();
                Some(self.body(each, node.at, body?)?)
            }
        };
        if let Some(third) = rest.get_mut(1) {
            let order = self.visit(third)?;
            if each == Each::SortBy && order != Type::Text && !order.is_unknown() {
                return mistake(third.at, format!("sortBy order argument must be a string (got {order})"));
            }
        }
        let element = || if of.is_unknown() { Type::Unknown } else { of.element() };
        Ok(match each {
            Each::All | Each::None | Each::Any | Each::One => Type::Bool,
            Each::Filter if of.is_unknown() => Type::List(None),
            Each::Filter => of.element().list(),
            Each::Map => body.unwrap_or(Type::Unknown).list(),
            Each::Count | Each::FindIndex | Each::FindLastIndex => Type::Int,
            Each::Sum => body.unwrap_or_else(element),
            Each::Find | Each::FindLast => element(),
            Each::GroupBy => Type::Groups(of.element().list().into()),
            Each::SortBy => of,
            Each::Reduce => body.unwrap_or(Type::Unknown),
        })
    }

    /// What a body returns.
    fn body(&self, each: Each, at: usize, of: Type) -> Checked {
        if of == Type::Nil {
            let inputs = if each == Each::Reduce { "two input" } else { "one input" };
            return mistake(at, format!("predicate should has {inputs} and one output param"));
        }
        let any = matches!(each, Each::Map | Each::Sum | Each::GroupBy | Each::SortBy | Each::Reduce);
        if any || of == Type::Bool || of.is_unknown() {
            return Ok(if of == Type::Unknown && each == Each::Sum { Type::Any } else { of });
        }
        mistake(at, format!("predicate should return boolean (got {of})"))
    }
}

/// Whether an argument fits to a parameter.
fn fits(at: usize, name: &str, of: &Type, parameter: &Type) -> Result<(), Mistake> {
    if *of == Type::Nil {
        let takes = matches!(parameter.shape(), Shape::Interface | Shape::Pointer);
        let words = format!("cannot use nil as argument (type {parameter}) to call {name}");
        return if takes { Ok(()) } else { mistake(at, words) };
    }
    let integers = of.is_integer() && parameter.is_integer();
    if integers || of.is_unknown() || of.assignable(parameter) || of.clone().pointed_to().assignable(parameter) {
        return Ok(());
    }
    mistake(at, format!("cannot use {of} as argument (type {parameter}) to call {name} "))
}
