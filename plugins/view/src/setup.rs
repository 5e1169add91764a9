//! The lines of the directive.

use crate::View;
use api::Setup;
use api::corefile::{ConfigError, Cursor};
use api::expr::{Expression, Names};
use api::services::Metadata;
use std::sync::Arc;

/// `view NAME { expr EXPRESSION }`, once.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let (mut name, mut conditions) = ("", Vec::new());
    while c.next_once()? {
        let [only] = c.remaining_args()[..] else { return Err(c.arg_err()) };
        name = only;
        while c.next_block() {
            conditions.push(condition(&mut c)?);
        }
    }
    let view = Arc::new(View { name: name.to_owned(), clock: setup.clock(), conditions: conditions.into() });
    setup.options().view = Some(name.to_owned());
    setup.offer::<Arc<dyn Metadata>>(view.clone());
    let filter = view.clone();
    setup.filter(move |q| Ok(filter.holds(q)));
    setup.add(view);
    Ok(())
}

/// `expr EXPRESSION`
fn condition(c: &mut Cursor<'_>) -> Result<Expression, ConfigError> {
    match c.val() {
        "expr" => {
            let text = c.remaining_args().join(" ");
            Expression::compile(&text, &Names::of_query()).map_err(|words| c.bare(words))
        }
        other => Err(c.err(format!("unknown property '{other}'"))),
    }
}
