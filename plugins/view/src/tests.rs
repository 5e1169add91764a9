//! What a view says of queries, and which lines are refused.

use crate::View;
use crate::setup::setup;
use api::corefile::{Corefile, Source};
use api::setup::Block;
use api::test::{query, world};
use api::{Clock, Name, Setup};

/// The block with a view of these lines, or why it is refused.
fn block(lines: &str) -> Result<Block, String> {
    let source = Source::new("f", format!(". {{\n{lines}\n}}\n"));
    let corefile = Corefile::parse(&source, "53", &|_| true, &|_| None).map_err(|mistakes| mistakes[0].to_string())?;
    let mut block = Block::new("dns://.:53".into(), vec![Name::root()]);
    let tokens = corefile.blocks[0].directive("view").ok_or("there is no view")?;
    let world = world(Clock::manual(), Default::default());
    setup(&mut Setup::new("view", tokens, &mut block, &world)).map_err(|mistake| mistake.to_string())?;
    Ok(block)
}

/// Whether a view with these conditions wants a query.
fn wants(conditions: &[&str], question: &str) -> bool {
    let lines: String = conditions.iter().map(|c| format!("expr {c}\n")).collect();
    let block = block(&format!("view v {{\n{lines}}}")).expect("it is right");
    assert_eq!(block.options.view.as_deref(), Some("v"));
    assert_eq!((block.filters.len(), block.links.len()), (1, 1));
    block.filters[0](&mut query(question)).expect("filters do not fail")
}

#[test]
fn all_conditions_hold() {
    assert!(wants(&[], "a.example A"));
    assert!(wants(&["type() == 'A'", "name() endsWith '.example.'"], "A.Example A"));
    assert!(!wants(&["type() == 'A'", "name() endsWith '.example.'"], "a.example AAAA"));
    assert!(wants(&["incidr(client_ip(), '127.0.0.0/8') && proto() == 'tcp'"], "a.example A +tcp"));
    assert!(wants(&["metadata('view/name') == ''"], "a.example A"), "without the directive metadata");
}

#[test]
fn what_is_no_condition_does_not_hold() {
    for condition in ["1", "nil", "name()", "incidr('x', '10.0.0.0/8')", "int('x') == 1"] {
        assert!(!wants(&["true", condition], "a.example A"), "{condition}");
    }
}

#[test]
fn mistakes() {
    for (lines, words) in [
        (
            "view",
            "plugin/view: f:2 - Error during parsing: Wrong argument count or unexpected line ending after 'view'",
        ),
        (
            "view a b",
            "plugin/view: f:2 - Error during parsing: Wrong argument count or unexpected line ending after 'b'",
        ),
        ("view a {\nx\n}", "plugin/view: f:3 - Error during parsing: unknown property 'x'"),
        ("view a {\nexpr\n}", "f:3 - plugin/view: unexpected token EOF"),
        ("view a {\nexpr cd()\n}", "f:3 - plugin/view: unknown name cd (1:1)"),
        ("view a {\nexpr group(1) == ''\n}", "f:3 - plugin/view: unknown name group (1:1)"),
        ("view a\nview b", "f:3 - plugin/view: this plugin can only be used once per Server Block"),
    ] {
        assert_eq!(block(lines).err().as_deref(), Some(words), "{lines}");
    }
}

#[test]
fn the_name_is_known() {
    use api::services::Metadata;
    let view = View { name: "inside".into(), clock: Clock::manual(), conditions: Box::default() };
    let q = query("a. A");
    assert_eq!(view.value(&q, "view/name").as_deref(), Some("inside"));
    assert_eq!(view.value(&q, "view/other"), None);
}
