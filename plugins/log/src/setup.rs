//! The lines of the directive.

use crate::format::{COMMON, Format};
use crate::{Classes, Log, Rule};
use api::Setup;
use api::corefile::{ConfigError, Cursor, value};

/// Adds the plugin with a rule for each name of each line.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut rules = Vec::new();
    while c.next() {
        let args = c.remaining_args();
        // A format is told by its brace, and never stands alone.
        let (names, format) = match &args[..] {
            [] => (&["."][..], COMMON),
            [names @ .., format] if !names.is_empty() && format.contains('{') => (names, *format),
            names => (names, COMMON),
        };
        let classes = classes(&mut c)?;
        for name in value::names(names) {
            rules.push(Rule { name, classes, format: Format::parse(format) });
        }
    }
    let clock = setup.clock();
    setup.add(Log { rules: rules.into(), clock });
    Ok(())
}

/// The classes that the block names; all without any.
fn classes(c: &mut Cursor<'_>) -> Result<Classes, ConfigError> {
    let mut classes = None;
    while c.next_block() {
        if c.val() != "class" {
            return Err(c.err(format!("unknown property '{}'", c.val())));
        }
        let args = c.remaining_args();
        if args.is_empty() {
            return Err(c.arg_err());
        }
        let wanted: &mut Classes = classes.get_or_insert_default();
        for class in args {
            match class {
                "all" => *wanted = Classes::ALL,
                "success" => wanted.success = true,
                "denial" => wanted.denial = true,
                "error" => wanted.error = true,
                other => return Err(c.bare(format!("invalid Class: {other}"))),
            }
        }
    }
    Ok(classes.unwrap_or(Classes::ALL))
}
