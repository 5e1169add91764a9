//! From tokens to a tree. Grammar and words of mistakes are those of the Go library that CoreDNS uses.

mod operands;

use super::Mistake;
use super::lex::{Lexer, Token, TokenKind};
use super::tree::{Condition, Kind, Logic, Node, Operator};

/// Nodes of the largest expression (the Go library's limit).
const MAX_NODES: usize = 10_000;
/// How deeply an expression may be nested: bounds the stack that reading and evaluating it need.
const MAX_DEPTH: u16 = 128;

type Parsed<T = Node> = Result<T, Mistake>;

/// Parses the whole of `text`; `ours` are names that hide functions of the language.
///
/// # Errors
/// It is no expression.
pub fn parse(text: &str, ours: &dyn Fn(&str) -> bool) -> Parsed {
    let mut lexer = Lexer::new(text);
    let current = lexer.next()?;
    let mut parser = Parser { lexer, current, stashed: None, bodies: 0, nodes: 0, depth: 0, ours };
    let node = parser.sequence()?;
    if parser.current.kind != TokenKind::End {
        return Err(parser.current.unexpected());
    }
    Ok(node)
}

struct Parser<'a> {
    lexer: Lexer,
    current: Token,
    /// The token behind the current one, if it was read already.
    stashed: Option<Token>,
    /// Bodies of functions around this place, where `#` has a meaning.
    bodies: usize,
    nodes: usize,
    depth: u16,
    ours: &'a dyn Fn(&str) -> bool,
}

/// Tokens and nodes.
impl Parser<'_> {
    /// Goes on, and returns the token that was current.
    fn next(&mut self) -> Parsed<Token> {
        let next = match self.stashed.take() {
            Some(token) => token,
            None => self.lexer.next()?,
        };
        Ok(std::mem::replace(&mut self.current, next))
    }

    fn expect(&mut self, text: &str) -> Parsed<()> {
        if self.current.is(text) { self.next().map(drop) } else { Err(self.current.unexpected()) }
    }

    fn expect_identifier(&mut self) -> Parsed<Token> {
        match self.current.kind {
            TokenKind::Identifier => self.next(),
            _ => Err(self.current.unexpected()),
        }
    }

    /// Whether `text` is the current token, which is passed then.
    fn accept(&mut self, text: &str) -> Parsed<bool> {
        let there = self.current.is(text);
        if there {
            self.next()?;
        }
        Ok(there)
    }

    fn node(&mut self, at: usize, kind: Kind) -> Parsed {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let words = "compilation failed: expression exceeds maximum allowed nodes";
            return Err(Mistake::new(self.current.at, words));
        }
        let node = Node::new(at, kind);
        if node.depth > MAX_DEPTH { Err(self.too_deep()) } else { Ok(node) }
    }

    fn too_deep(&self) -> Mistake {
        Mistake::new(self.current.at, format!("expression is nested more than {MAX_DEPTH} times"))
    }
}

/// Expressions.
impl Parser<'_> {
    /// `x; y`
    fn sequence(&mut self) -> Parsed {
        let first = self.expression(0)?;
        let (at, mut nodes) = (first.at, vec![first]);
        while self.accept(";")? {
            if self.current.kind == TokenKind::End {
                break;
            }
            nodes.push(self.expression(0)?);
        }
        if nodes.len() > 1 { self.node(at, Kind::Sequence(nodes)) } else { Ok(nodes.remove(0)) }
    }

    /// An expression whose operators bind at least as `precedence` does.
    fn expression(&mut self, precedence: u16) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let node = match precedence {
            0 if self.current.is("let") => self.declaration()?,
            0 if self.current.is("if") => self.conditional_if()?,
            _ => {
                let first = self.primary()?;
                let node = self.operators(first, precedence)?;
                if precedence == 0 { self.conditional(node)? } else { node }
            }
        };
        self.depth -= 1;
        Ok(node)
    }

    /// The operators behind `left`, as long as they bind at least as `precedence` does.
    fn operators(&mut self, mut left: Node, precedence: u16) -> Parsed {
        let mut coalesced = false;
        while self.current.kind == TokenKind::Operator {
            let Some((negation, token)) = self.operator(precedence)? else { break };
            if coalesced && token.text != "??" && token.text != "|" {
                let words = "and coalesce expressions (??) cannot be mixed. Wrap either by parentheses.";
                return Err(Mistake::new(token.at, format!("Operator ({}) {words}", token.text)));
            }
            coalesced = token.text == "??";
            left = match Operator::of(&token.text) {
                None if token.text == "|" => {
                    let name = self.expect_identifier()?;
                    self.call(name, Some(left), true)?
                }
                None => self.condition(left, &token)?,
                Some(operator) if is_comparison(operator) => self.comparisons(left, operator, token.at)?,
                Some(operator) => {
                    let right =
                        self.expression(precedence_of(&token.text).unwrap_or(0) + u16::from(!is_power(operator)))?;
                    self.node(token.at, Kind::Binary(operator, Box::new([left, right])))?
                }
            };
            if let Some(at) = negation {
                left = self.node(at, Kind::Not("not", Box::new(left)))?;
            }
        }
        Ok(left)
    }

    /// Passes an operator that binds at least as `precedence` does, and a `not` in front of it, whose place comes first.
    fn operator(&mut self, precedence: u16) -> Parsed<Option<(Option<usize>, Token)>> {
        let binds = |token: &Token| precedence_of(&token.text).is_some_and(|p| p >= precedence);
        if !self.current.is("not") {
            return Ok(if binds(&self.current) { Some((None, self.next()?)) } else { None });
        }
        let not = self.next()?;
        if !matches!(self.current.text.as_str(), "contains" | "matches" | "startsWith" | "endsWith" | "in") {
            return Err(self.current.unexpected());
        }
        if !binds(&self.current) {
            self.stashed = Some(std::mem::replace(&mut self.current, not));
            return Ok(None);
        }
        let token = self.next()?;
        Ok(Some((Some(token.at), token)))
    }

    /// `and`, `or` and what follows; several of the same kind make one node.
    fn condition(&mut self, left: Node, token: &Token) -> Parsed {
        let (logic, word) = match token.text.as_str() {
            "and" => (Logic::And, "and"),
            "&&" => (Logic::And, "&&"),
            "or" => (Logic::Or, "or"),
            _ => (Logic::Or, "||"),
        };
        let right = self.expression(precedence_of(word).unwrap_or(0) + 1)?;
        let mut conditions = match left.kind {
            Kind::Logic(same, conditions) if same == logic => conditions,
            kind => vec![Condition { at: left.at, word: "", node: Node { kind, ..left } }],
        };
        conditions.push(Condition { at: token.at, word, node: right });
        self.node(token.at, Kind::Logic(logic, conditions))
    }

    /// `x < y`, `x < y < z`
    fn comparisons(&mut self, left: Node, operator: Operator, at: usize) -> Parsed {
        let above = precedence_of("<").unwrap_or(0) + 1;
        let mut rest = vec![(at, operator, self.expression(above)?)];
        while self.current.kind == TokenKind::Operator {
            let Some(operator) = Operator::of(&self.current.text).filter(|o| is_comparison(*o)) else { break };
            let at = self.next()?.at;
            rest.push((at, operator, self.expression(above)?));
        }
        match rest.pop() {
            Some((at, operator, right)) if rest.is_empty() => {
                self.node(at, Kind::Binary(operator, Box::new([left, right])))
            }
            Some(last) => {
                let at = last.0;
                rest.push(last);
                self.node(at, Kind::Comparisons(Box::new(left), rest))
            }
            None => Ok(left),
        }
    }

    /// `let x = y; z`
    fn declaration(&mut self) -> Parsed {
        self.expect("let")?;
        let name = self.expect_identifier()?;
        self.expect("=")?;
        let value = self.expression(0)?;
        self.expect(";")?;
        let body = self.sequence()?;
        self.node(name.at, Kind::Let(name.text.into(), Box::new([value, body])))
    }

    /// `if x { y } else { z }`
    fn conditional_if(&mut self) -> Parsed {
        self.expect("if")?;
        let condition = self.expression(0)?;
        let yes = self.braces()?;
        self.expect("else")?;
        let no = if self.current.is("if") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.too_deep());
            }
            let no = self.conditional_if()?;
            self.depth -= 1;
            no
        } else {
            self.braces()?
        };
        self.node(0, Kind::Conditional(Box::new([condition, yes, no])))
    }

    fn braces(&mut self) -> Parsed {
        self.expect("{")?;
        let node = self.sequence()?;
        self.expect("}")?;
        Ok(node)
    }

    /// `x ? y : z`, `x ?: z`
    fn conditional(&mut self, mut node: Node) -> Parsed {
        while self.accept("?")? {
            let (yes, no) = if self.accept(":")? {
                (None, self.expression(0)?)
            } else {
                let yes = self.expression(0)?;
                self.expect(":")?;
                (Some(yes), self.expression(0)?)
            };
            let at = self.current.at;
            node = match yes {
                Some(yes) => self.node(at, Kind::Conditional(Box::new([node, yes, no])))?,
                None => self.node(at, Kind::Elvis(Box::new([node, no])))?,
            };
        }
        Ok(node)
    }

    fn primary(&mut self) -> Parsed {
        let at = self.current.at;
        if self.current.kind == TokenKind::Operator
            && let Some((word, precedence)) = unary(&self.current.text)
        {
            self.next()?;
            let operand = Box::new(self.expression(precedence)?);
            let kind = match word {
                "-" => Kind::Minus(operand),
                "+" => Kind::Plus(operand),
                word => Kind::Not(word, operand),
            };
            let node = self.node(at, kind)?;
            return self.postfix(node);
        }
        if self.accept("(")? {
            let node = self.sequence()?;
            self.expect(")")?;
            return self.postfix(node);
        }
        if self.bodies > 0 && (self.current.is("#") || self.current.is(".")) {
            let named = self.accept("#")? && self.current.kind == TokenKind::Identifier;
            let name = if named { self.next()?.text } else { String::new() };
            let node = self.node(at, Kind::Pointer(name.into()))?;
            return self.postfix(node);
        }
        if self.accept("::")? {
            let name = self.expect_identifier()?;
            let node = self.call(name, None, false)?;
            return self.postfix(node);
        }
        self.secondary()
    }

    fn secondary(&mut self) -> Parsed {
        let token = self.current.clone();
        let node = match token.kind {
            TokenKind::Identifier => {
                self.next()?;
                let kind = match token.text.as_str() {
                    "true" => Kind::Bool(true),
                    "false" => Kind::Bool(false),
                    "nil" => Kind::Nil,
                    _ if self.current.is("(") => {
                        let node = self.call(token, None, true)?;
                        return self.postfix(node);
                    }
                    name => {
                        let node = self.node(token.at, Kind::Name(name.into()))?;
                        return self.postfix(node);
                    }
                };
                return self.node(token.at, kind);
            }
            TokenKind::Number => {
                self.next()?;
                let kind = operands::number(&token.text).map_err(|words| Mistake::new(self.current.at, words))?;
                return self.node(token.at, kind);
            }
            TokenKind::String => {
                self.next()?;
                self.node(token.at, Kind::Text(token.text.into()))?
            }
            _ if token.is("[") => self.array(token.at)?,
            _ if token.is("{") => self.map(token.at)?,
            _ => return Err(token.unexpected()),
        };
        self.postfix(node)
    }
}

/// How tightly an operator in front of its operand binds.
fn unary(text: &str) -> Option<(&'static str, u16)> {
    Some(match text {
        "not" => ("not", 50),
        "!" => ("!", 50),
        "-" => ("-", 90),
        "+" => ("+", 90),
        _ => return None,
    })
}

/// How tightly an operator between operands binds.
fn precedence_of(text: &str) -> Option<u16> {
    Some(match text {
        "|" => 0,
        "or" | "||" => 10,
        "and" | "&&" => 15,
        "==" | "!=" | "<" | ">" | ">=" | "<=" | "in" | "matches" | "contains" | "startsWith" | "endsWith" => 20,
        ".." => 25,
        "+" | "-" => 30,
        "*" | "/" | "%" => 60,
        "**" | "^" => 100,
        "??" => 500,
        _ => return None,
    })
}

fn is_comparison(operator: Operator) -> bool {
    matches!(operator, Operator::Less | Operator::More | Operator::LessOrEqual | Operator::MoreOrEqual)
}

/// Whether an operator is one of those that bind from right to left.
fn is_power(operator: Operator) -> bool {
    matches!(operator, Operator::Power | Operator::Caret)
}
