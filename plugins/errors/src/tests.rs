use super::*;
use api::test::{query, text};
use api::{Chain, Error, InfoCode, Link, Panics, Rcode, Run};

/// Fails as the name says.
struct Fails;

impl Plugin for Fails {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let error = Error::msg("i/o timeout").with_context("3 tries, 2s");
        match q.name().to_string().as_str() {
            "plain." => Err(error),
            "told." => Err(error.with_info(InfoCode::NETWORK_ERROR).with_extra_text("10.0.0.1:53")),
            "panic." => panic!("a mistake"),
            _ => {
                q.respond().set_rcode(Rcode::NXDOMAIN);
                q.reply.explain(InfoCode::STALE_NXDOMAIN_ANSWER);
                Ok(Step::Done)
            }
        }
    }
}

fn chain(ede: bool) -> Chain {
    let errors = Errors { patterns: Arc::default(), ede };
    let links =
        vec![Link { name: "errors", plugin: Box::new(errors) }, Link { name: "fails", plugin: Box::new(Fails) }];
    Chain::new(links, Panics::Catch)
}

#[test]
fn replies_say_why() {
    for (question, end, said) in [
        ("plain. A", Run::Done, "SERVFAIL (no message): i/o timeout"),
        ("told. A", Run::Done, "SERVFAIL (no message): i/o timeout\ninfo 23 10.0.0.1:53"),
        ("panic. A", Run::Panicked, "SERVFAIL (no message)\ninfo 0 internal error"),
        ("x. A", Run::Done, "NXDOMAIN rd\ninfo 19 "),
    ] {
        for ede in [false, true] {
            let mut q = query(question);
            assert_eq!(chain(ede).run(&mut q), end, "{question}");
            assert_eq!((text(&q).as_str(), q.explains), (said, ede), "{question}");
        }
    }
}

#[test]
fn what_was_said_ends_with_the_reply() {
    let mut q = query("x. A");
    assert_eq!(chain(true).run(&mut q), Run::Done);
    let renamed = query("y. A").question;
    q.reply.set_question(&renamed);
    assert_eq!(q.reply.explanation(), Some((InfoCode::STALE_NXDOMAIN_ANSWER, "")));
    q.respond();
    assert_eq!(q.reply.explanation(), None);
}

#[test]
fn patterns_see_the_words_and_not_what_stands_in_brackets() {
    let pattern = |expression| Pattern {
        expression: api::expression::compile(expression).expect("an expression"),
        period: std::time::Duration::ZERO,
        shown_period: String::new(),
        level: consolidate::Level::Error,
        show_first: false,
        seen: 0.into(),
        begun: tokio::sync::Notify::new(),
    };
    let patterns: Arc<[Pattern]> = ["tries", ".*i/o timeout$"].map(pattern).into();
    let errors = Errors { patterns: patterns.clone(), ede: false };
    let links =
        vec![Link { name: "errors", plugin: Box::new(errors) }, Link { name: "fails", plugin: Box::new(Fails) }];
    assert_eq!(Chain::new(links, Panics::Catch).run(&mut query("plain. A")), Run::Done);
    let seen = |n: usize| patterns[n].seen.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((seen(0), seen(1)), (0, 1));
}
