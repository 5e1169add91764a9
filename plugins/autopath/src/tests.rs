//! Searches over a plugin that notes what it is asked.

use super::*;
use api::services::SearchPath;
use api::test::{query, text};
use api::{Chain, Link, Panics, Run};
use std::sync::Mutex;

/// Knows `web.n1.svc.zone`, `db.svc.zone` and `a.example`, leads `out.n1.svc.zone` to the latter; `empty.example` has no addresses,
/// `lost.example` ends in an error, `shy.svc.zone` is refused; names that begin with `mute` get no reply.
#[derive(Clone, Default)]
struct Below(Arc<Mutex<Vec<String>>>);

impl Plugin for Below {
    fn query(&self, q: &mut Query) -> Result<Step> {
        let asked = q.question.original().to_string();
        self.0.lock().unwrap().push(asked.clone());
        match asked.to_ascii_lowercase().as_str() {
            "lost.example." => return Err(Error::msg("lost")),
            "shy.svc.zone." => q.reply.bare(Rcode::REFUSED),
            name if name.starts_with("mute") => q.reply.clear(),
            name => self.answer(name, q),
        }
        Ok(Step::Done)
    }
}

impl Below {
    fn answer(&self, name: &str, q: &mut Query) {
        let reply = q.respond();
        let answer = |reply: &mut Reply, owner| reply.push_address(Section::Answer, owner, 60, [192, 0, 2, 1].into());
        match name {
            "web.n1.svc.zone." | "db.svc.zone." | "a.example." => answer(reply, Owner::Question),
            "empty.example." => (),
            "out.n1.svc.zone." => {
                let target = Name::from_text("a.example").unwrap();
                reply.push(Section::Answer, Owner::Question, RecordType::CNAME, 5, |d| d.name(target.as_ref()));
                answer(reply, Owner::Name(target.as_ref()));
            }
            _ => reply.set_rcode(Rcode::NXDOMAIN),
        }
    }
}

/// The path of a pod in `n1`, which has the address that test queries come from.
struct Pods;

impl SearchPath for Pods {
    fn directive(&self) -> &'static str {
        "pods"
    }

    fn domain<'a>(
        &'a self,
        client: IpAddr,
        name: NameRef<'_>,
        number: usize,
        space: &'a mut NameBuf,
    ) -> Option<NameRef<'a>> {
        let domain = Name::from_text(["n1.svc.zone", "svc.zone", "zone"].get(number)?).unwrap();
        let known = client.is_loopback() && name.is_below(Name::from_text("zone").unwrap().as_ref());
        known.then(|| space.join(&[], domain.as_ref()))?
    }
}

fn autopath(plugin: Option<&str>, file: &str) -> Autopath {
    let mut block = api::setup::Block::new(String::new(), Vec::new());
    let world = api::test::world(api::Clock::system(), api::task::Carry::default());
    let mut setup = api::Setup::new("pods", &[], &mut block, &world);
    setup.offer::<Arc<dyn SearchPath>>(Arc::new(Pods));
    let file = api::resolvconf::search(file.as_bytes());
    let paths = Paths { plugin: plugin.map(str::to_owned), offered: setup.offered(), file: file.into() };
    Autopath { zones: [Name::root()].into(), paths, found: PerSite::default() }
}

/// The reply to `question`, what was asked below, and the name that plugins above see.
fn ask(autopath: Autopath, question: &str) -> (String, Vec<String>, String) {
    let below = Below::default();
    let links = vec![
        Link { name: "autopath", plugin: Box::new(autopath) },
        Link { name: "below", plugin: Box::new(below.clone()) },
    ];
    let mut q = query(question);
    assert_eq!(Chain::new(links, Panics::End).run(&mut q), Run::Done);
    if q.reply.is_message() {
        assert!(q.reply.answers(&q.question), "{question}");
    }
    let asked = std::mem::take(&mut *below.0.lock().unwrap());
    (text(&q), asked, q.question.original().to_string())
}

#[test]
fn the_first_domain_with_the_name_answers() {
    for (name, want, names) in [
        ("web.n1.svc.zone.", "NOERROR rd\nanswer web.n1.svc.zone. 60 IN A 192.0.2.1", &["web.n1.svc.zone."][..]),
        ("WEB.N1.svc.zone.", "NOERROR rd\nanswer WEB.n1.svc.zone. 60 IN A 192.0.2.1", &["WEB.n1.svc.zone."]),
        (
            "DB.n1.svc.zone.",
            "NOERROR rd\nanswer DB.n1.svc.zone. 60 IN CNAME DB.svc.zone.\nanswer DB.svc.zone. 60 IN A 192.0.2.1",
            &["DB.n1.svc.zone.", "DB.svc.zone."],
        ),
        (
            "a.example.n1.svc.zone.",
            "NOERROR rd\nanswer a.example.n1.svc.zone. 60 IN CNAME a.example.\nanswer a.example. 60 IN A 192.0.2.1",
            &["a.example.n1.svc.zone.", "a.example.svc.zone.", "a.example.zone.", "a.example."],
        ),
        (
            "out.n1.svc.zone.",
            "NOERROR rd\nanswer out.n1.svc.zone. 60 IN CNAME a.example.\n\
             answer out.n1.svc.zone. 5 IN CNAME a.example.\nanswer a.example. 60 IN A 192.0.2.1",
            &["out.n1.svc.zone."],
        ),
        (
            "empty.example.n1.svc.zone.",
            "NOERROR rd",
            &["empty.example.n1.svc.zone.", "empty.example.svc.zone.", "empty.example.zone.", "empty.example."],
        ),
    ] {
        let (reply, asked, seen) = ask(autopath(Some("pods"), ""), &format!("{name} A"));
        assert_eq!((reply.as_str(), seen.as_str()), (want, name));
        assert_eq!(asked, names, "{name}");
    }
}

#[test]
fn what_is_found_nowhere_has_the_first_reply() {
    for (name, want, tries) in [
        ("nope.n1.svc.zone.", "NXDOMAIN rd", 4),
        ("Nope.N1.SVC.zone.", "NXDOMAIN rd", 4),
        ("shy.n1.svc.zone.", "NXDOMAIN rd", 4),
        ("lost.example.n1.svc.zone.", "SERVFAIL (no message): lost", 4),
        ("mute.n1.svc.zone.", "nothing", 1),
        (
            "n1.svc.zone.",
            "SERVFAIL (no message): plugin/autopath: n1.svc.zone. is a domain of the search path, and no name in it",
            0,
        ),
    ] {
        let (reply, asked, seen) = ask(autopath(Some("pods"), ""), &format!("{name} A"));
        assert_eq!((reply.as_str(), asked.len(), seen.as_str()), (want, tries, name), "{name}");
    }
}

#[test]
fn names_outside_of_the_first_domain_pass() {
    let file = "search first.example second.example";
    for (plugin, file, name) in [
        (Some("pods"), "", "db.svc.zone."),
        (Some("pods"), "", "nope.zone."),
        (Some("pods"), file, "nope.first.example."),
        (None, file, "nope.second.example."),
        (None, "", "nope."),
    ] {
        assert_eq!(ask(autopath(plugin, file), &format!("{name} A")).1, [name], "{name}");
    }
}

#[test]
fn a_file_serves_all_clients_where_no_plugin_does() {
    let file = "search first.example example";
    for plugin in [None, Some("absent")] {
        let (reply, asked, _) = ask(autopath(plugin, file), "A.First.Example. A");
        let cname = "answer A.First.Example. 60 IN CNAME A.example.";
        assert_eq!(reply, format!("NOERROR rd\n{cname}\nanswer A.example. 60 IN A 192.0.2.1"));
        assert_eq!(asked, ["A.first.example.", "A.example."]);
    }
}

#[test]
fn names_that_would_be_too_long_are_left_out() {
    let long = format!("search s.example {0}.{0}.example", "x".repeat(63));
    let name = ["y".repeat(63), "y".repeat(63)].join(".");
    let (_, asked, _) = ask(autopath(None, &long), &format!("{name}.s.example A"));
    assert_eq!(asked, [format!("{name}.s.example."), format!("{name}.")]);
}

#[test]
fn the_first_reply_is_kept_whole() {
    let mut q = query("nope.n1.svc.zone A");
    q.respond_authoritative(Rcode::NXDOMAIN).set_live();
    q.reply.set_opt(Some(api::ReplyOpt { size: 1232, ..api::ReplyOpt::default() }));
    let mut search = Search::new(&q, 5);
    search.keep_first(&mut q);
    q.reply.clear();
    search.give_up(&mut q);
    assert_eq!(text(&q), "NXDOMAIN aa rd\nopt 1232 ");
    assert!(q.reply.is_live());
}
