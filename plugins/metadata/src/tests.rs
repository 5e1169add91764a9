//! Which values are known of which queries.

use super::*;
use api::test::{described, query};

/// Knows the name asked for, but where that is the root's.
struct Asked;

impl Metadata for Asked {
    fn value(&self, q: &Query, label: &str) -> Option<String> {
        let name = q.asked_question().name().to_string();
        (label == "asked/name" && name != ".").then_some(name)
    }
}

/// Has an empty value for everything.
struct Empty;

impl Metadata for Empty {
    fn value(&self, _q: &Query, _label: &str) -> Option<String> {
        Some(String::new())
    }
}

fn collector(zones: &[&str], providers: Vec<Arc<dyn Metadata>>) -> Arc<Collector> {
    let offered = Offered::default();
    providers.into_iter().for_each(|provider| offered.put(provider));
    Arc::new(Collector { zones: zones.iter().map(|z| Name::from_text(z).unwrap()).collect(), providers: offered })
}

#[test]
fn values_are_those_of_the_question_as_it_came_in() {
    let mut q = described(query("A.Example.org A"), collector(&["."], vec![Arc::new(Asked)]));
    q.question.set_name(Name::from_text("other.test").unwrap().as_ref());
    assert_eq!(q.metadata("asked/name").as_deref(), Some("a.example.org."));
    assert_eq!(q.metadata("asked/other"), None);
}

#[test]
fn the_first_plugin_that_has_a_value_is_heard() {
    let q = described(query("a. A"), collector(&["."], vec![Arc::new(Asked), Arc::new(Empty)]));
    assert_eq!(q.metadata("asked/name").as_deref(), Some("a."));
    assert_eq!(q.metadata("none/such").as_deref(), Some(""));
}

#[test]
fn outside_of_the_zones_there_is_only_what_plugins_leave() {
    let mut q = described(query("a.test A"), collector(&["example", "org"], vec![Arc::new(Empty)]));
    assert_eq!(q.metadata("x/y"), None);
    q.describe("x/y", || "1".into());
    q.describe("x/y", || "2".into());
    assert_eq!(q.metadata("x/y").as_deref(), Some("2"));
    let q = described(query("a.Org A"), collector(&["example", "org"], vec![Arc::new(Empty)]));
    assert_eq!(q.metadata("x/y").as_deref(), Some(""));
}

#[test]
fn without_the_directive_nothing_is_known_and_nothing_is_left() {
    let mut q = query("a. A");
    q.describe("x/y", || unreachable!("nobody can ask for it"));
    assert_eq!(q.metadata("x/y"), None);
}
