//! The lines of the directive.

use crate::gotemplate::{Template, shown};
use crate::rules::Rules;
use crate::{Entry, Pattern, Source, Templates};
use api::corefile::{ConfigError, Cursor};
use api::server::PerSite;
use api::{Class, Clock, Fallthrough, Rcode, RecordType, Setup, expression, gotext};

/// Characters of the longest expression (CoreDNS's limit).
const MAX_EXPRESSION: usize = 10_000;
/// Octets of the longest text of an extended error: more than a datagram has room for.
const MAX_TEXT: usize = 1_000;

/// Adds one plugin with all templates of the block, in their order.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut entries = Vec::new();
    while c.next() {
        entries.push(entry(setup, &mut c)?);
    }
    setup.add(Templates { entries: entries.into() });
    Ok(())
}

/// `template CLASS TYPE [ZONE…] { … }`
fn entry(setup: &Setup<'_>, c: &mut Cursor<'_>) -> Result<Entry, ConfigError> {
    let class = word(c)?.parse::<Class>().map_err(|_| c.err(format!("invalid query class {}", c.val())))?;
    let rtype = word(c)?.parse::<RecordType>().map_err(|_| c.err(format!("invalid RR class {}", c.val())))?;
    let zones = setup.names_or(&c.remaining_args()).into();
    let mut parts = Parts::new(setup.clock());
    while c.next_block() {
        parts.property(c)?;
    }
    if parts.patterns.is_empty() {
        parts.patterns.push(pattern(c, ".*")?);
    }
    Ok(Entry {
        class,
        rtype,
        zones,
        patterns: parts.patterns.into(),
        rules: parts.rules,
        answer: parts.answer.into(),
        additional: parts.additional.into(),
        authority: parts.authority.into(),
        rcode: parts.rcode,
        extended_error: parts.extended_error,
        fallthrough: parts.fallthrough,
        counters: PerSite::default(),
    })
}

/// The next argument.
fn word<'a>(c: &mut Cursor<'a>) -> Result<&'a str, ConfigError> {
    if c.next_arg() { Ok(c.val()) } else { Err(c.arg_err()) }
}

/// What the block says.
struct Parts {
    patterns: Vec<Pattern>,
    rules: Rules,
    answer: Vec<Source>,
    additional: Vec<Source>,
    authority: Vec<Source>,
    rcode: Rcode,
    extended_error: Option<(u16, String)>,
    fallthrough: Fallthrough,
}

impl Parts {
    fn new(clock: Clock) -> Parts {
        Parts {
            patterns: Vec::new(),
            rules: Rules::new(clock),
            answer: Vec::new(),
            additional: Vec::new(),
            authority: Vec::new(),
            rcode: Rcode::NOERROR,
            extended_error: None,
            fallthrough: Fallthrough::default(),
        }
    }
}

impl Parts {
    fn property(&mut self, c: &mut Cursor<'_>) -> Result<(), ConfigError> {
        match c.val() {
            "match" => {
                for arg in some_args(c)? {
                    self.patterns.push(pattern(c, arg)?);
                }
            }
            "answer" => self.answer.extend(sources(c, "answer")?),
            "additional" => self.additional.extend(sources(c, "additional")?),
            "authority" => self.authority.extend(sources(c, "authority")?),
            "rcode" => self.rcode = rcode(c)?,
            "ederror" => self.extended_error = Some(extended_error(c)?),
            "fallthrough" => self.fallthrough = Fallthrough::parse(c),
            // From the time when it was needed for looking up aliases, which are always looked up.
            "upstream" => drop(c.remaining_args()),
            "var" => match &c.remaining_args()[..] {
                [name, expression @ ..] if !expression.is_empty() => {
                    self.rules.add_variable(name, &expression.join(" ")).map_err(|words| c.err(words))?;
                }
                _ => return Err(c.arg_err()),
            },
            "expr" => {
                let expression = some_args(c)?.join(" ");
                self.rules.add_condition(&expression).map_err(|words| c.err(words))?;
            }
            _ => return Err(c.arg_err()),
        }
        Ok(())
    }
}

fn some_args<'a>(c: &mut Cursor<'a>) -> Result<Vec<&'a str>, ConfigError> {
    let args = c.remaining_args();
    if args.is_empty() { Err(c.arg_err()) } else { Ok(args) }
}

fn pattern(c: &Cursor<'_>, text: &str) -> Result<Pattern, ConfigError> {
    if text.len() > MAX_EXPRESSION {
        return Err(c.err(format!("regex pattern too long: {} > {MAX_EXPRESSION}", text.len())));
    }
    let failed = |words| c.err(format!("could not parse regex: {text}, {words}"));
    Ok(Pattern { text: text.to_owned(), expression: expression::compile(text).map_err(failed)? })
}

fn sources(c: &mut Cursor<'_>, section: &'static str) -> Result<Vec<Source>, ConfigError> {
    let args = some_args(c)?;
    let source = |text: &&str| {
        let failed = |words| c.err(format!("could not compile template: {text}, {words}"));
        let template = Template::parse(section, text, &["parseInt"]).map_err(failed)?;
        Ok(Source { text: shown(text), template })
    };
    args.iter().map(source).collect()
}

fn rcode(c: &mut Cursor<'_>) -> Result<Rcode, ConfigError> {
    let text = word(c)?;
    let code = text.parse().map_err(|_| c.err(format!("unknown rcode {text}")));
    if c.next_arg() { Err(c.arg_err()) } else { code }
}

/// `ederror CODE [TEXT]`
fn extended_error(c: &mut Cursor<'_>) -> Result<(u16, String), ConfigError> {
    let (code, text) = match c.remaining_args()[..] {
        [code] => (code, ""),
        [code, text] => (code, text),
        _ => return Err(c.arg_err()),
    };
    let number = gotext::parse_uint(code, u16::MAX.into());
    let number =
        number.map_err(|words| c.err(format!("error parsing extended DNS error code {}, {words}", c.val())))?;
    let text = text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
    Ok((u16::try_from(number).unwrap_or(u16::MAX), text))
}
