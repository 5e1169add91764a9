//! Dialogues: the directive as a Corefile has it, then questions, each with the reply that follows.
//!
//! The cluster is `tests/dialogues/cluster.yaml`. A name outside of it has one address, 192.0.2.1. With `UPDATE=1` in the
//! environment the replies are written anew.

use api::corefile::{Corefile, Source};
use api::server::{Answering, Server};
use api::services::Reload;
use api::setup::{Block, World};
use api::task::{Carry, StopSource};
use api::test::{Bottom, query, text};
use api::{Chain, Clock, Link, Name, Owner, Panics, Query, Rcode, RecordType, Run, Section, Setup, Site};
use poddns_kubernetes::PLUGIN;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
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
    let source = Source::new("Corefile", format!("cluster.local {{\n{directive}}}\n"));
    let corefile = Corefile::parse(&source, "53", &|_| true, &|_| None).unwrap();
    let world = World::new(Clock::manual(), Carry::default(), Arc::new(Never));
    let mut block = Block::new(vec![Name::from_text("cluster.local").unwrap()]);
    let tokens = corefile.blocks[0].directive("kubernetes").unwrap();
    (PLUGIN.setup)(&mut Setup::new("kubernetes", tokens, &mut block, &world)).unwrap();
    let stop = StopSource::default();
    for carried in world.carry.current() {
        for task in carried.tasks.lock().unwrap().take() {
            let work = (task.start)(stop.listen());
            // What is read from files is read when the work begins.
            tokio::select! {
                biased;
                _ = work => (),
                () = std::future::ready(()) => (),
            }
        }
    }
    let mut links = std::mem::take(&mut block.links);
    links.push(Link { name: "bottom", plugin: Box::new(Bottom) });
    Chain::new(links, Panics::End)
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

struct Never;

impl Reload for Never {
    fn running(&self) -> String {
        String::new()
    }

    fn read(&self) -> Result<String, String> {
        Err("there is no file".into())
    }

    fn generation(&self) -> u64 {
        0
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(std::future::ready(Err("there is no file".into())))
    }
}
