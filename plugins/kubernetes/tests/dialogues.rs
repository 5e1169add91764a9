//! Dialogues: the directive as a Corefile has it, then questions, each with the reply that follows.
//!
//! The cluster is `tests/dialogues/cluster.yaml`. A name outside of it has one address, 192.0.2.1. With `UPDATE=1` in the
//! environment the replies are written anew.

use api::server::{Answering, Server};
use api::setup::World;
use api::task::{Carry, StopSource};
use api::test::{Bottom, links, query, text, world};
use api::{Chain, Clock, Link, Owner, Panics, Query, Rcode, RecordType, Run, Section, Site};
use poddns_kubernetes::PLUGIN;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[tokio::test]
async fn dialogues() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let entries = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let written = std::fs::read_to_string(&file).unwrap();
        let played = play(&written, &folder.join("cluster.yaml")).await;
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &played).unwrap();
            continue;
        }
        assert_eq!(played, written, "{}; UPDATE=1 takes what is on the left", file.display());
    }
}

/// What is read from files is read when the work begins, so that what answers at once was there before.
#[tokio::test]
async fn a_reload_keeps_the_cluster_while_what_is_read_stays_the_same() {
    let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues/cluster.yaml");
    let lines = |more: &str| format!("kubernetes cluster.local {{\nmanifests {}\n{more}\n}}", cluster.display());
    let first = world(Clock::manual(), Carry::default());
    let known = |links: Vec<Link>| {
        let mut q = query("web.shop.svc.cluster.local A");
        let chain = Chain::new(links, Panics::End);
        assert_eq!(chain.run(&mut q), Run::Done);
        q.reply.rcode() == Some(Rcode::NOERROR) && chain.links().all(|link| link.plugin.ready())
    };
    let before = links(&PLUGIN, &lines(""), &first).unwrap();
    begin(&first).await;
    assert!(known(before));
    for (more, kept) in [("ttl 60\npods insecure", true), ("pods verified", false), ("labels a", false)] {
        let second = world(Clock::manual(), Carry::from_before(&first.carry.current()));
        let after = links(&PLUGIN, &lines(more), &second).unwrap();
        assert_eq!(known(after), kept, "{more}");
    }
}

/// Asks all questions of a dialogue, and returns it with the replies.
async fn play(dialogue: &str, cluster: &Path) -> String {
    let (directive, questions) = dialogue.split_once("----\n").expect("a directive, a line, questions");
    let chain = chain(&directive.replace("@CLUSTER@", &cluster.display().to_string())).await;
    let mut played = format!("{directive}----\n");
    for question in questions.lines().filter(|l| l.starts_with("ask ")) {
        let reply = ask(&chain, &question[4..]).await.replace('\n', "\n  ");
        write!(played, "{question}\n  {reply}\n").unwrap();
    }
    played
}

async fn ask(chain: &Chain, question: &str) -> String {
    let mut q = query(question);
    let server: Arc<dyn Server> = Arc::new(Outside);
    q.set_server(&server);
    if let Run::Wait(at) = chain.run(&mut q) {
        let _ = chain.finish(&mut q, at).await;
    }
    text(&q)
}

/// The chain of a block with this directive, its cluster read, and [`Bottom`] below it.
async fn chain(directive: &str) -> Chain {
    let world = world(Clock::manual(), Carry::default());
    let mut links = links(&PLUGIN, directive, &world).unwrap();
    begin(&world).await;
    links.push(Link { name: "bottom", plugin: Box::new(Bottom) });
    Chain::new(links, Panics::End)
}

/// Begins the work of a generation and lets it come to its first pause.
async fn begin(world: &World) {
    let stop = StopSource::default();
    for carried in world.carry.current() {
        let tasks = carried.tasks.lock().unwrap().take();
        for task in tasks {
            let work = (task.start)(stop.listen());
            // What is read from files is read when the work begins.
            tokio::select! {
                biased;
                _ = work => (),
                () = std::future::ready(()) => (),
            }
        }
    }
}

/// The server that look-ups come back to.
struct Outside;

impl Server for Outside {
    fn sites(&self) -> &[Site] {
        &[]
    }

    fn answer(&self, mut q: Box<Query>) -> Answering {
        let reply = q.respond_authoritative(Rcode::NOERROR);
        reply.push(Section::Answer, Owner::Question, RecordType::A, 60, |d| d.octets(&[192, 0, 2, 1]));
        Box::pin(std::future::ready(q))
    }
}
