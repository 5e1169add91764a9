use super::*;
use crate::Loop;
use api::test::{ask, chain};
use api::wire::HEADER;
use api::{Chain, Link, Panics, Plugin, Query, Rcode, Step};
use std::sync::Arc;
use tokio::net::UdpSocket;

fn client() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 53))
}

/// A look-out for this name.
fn lookout_for(name: &str) -> Arc<Lookout> {
    let lookout = Lookout::new(Name::root());
    lookout.round.send_replace(Round { name: Name::from_text(name).ok(), ..Round::default() });
    Arc::new(lookout)
}

#[test]
fn the_second_query_for_a_name_has_come_back() {
    let lookout = lookout_for("1.2.example.org");
    let chain = chain(Loop(lookout.clone()));
    for (question, seen) in [
        ("1.2.example.org HINFO", 1),
        ("1.2.example.org A", 1),
        ("1.1.example.org HINFO", 1),
        ("1.2.EXAMPLE.org HINFO", 2),
        ("1.2.example.org HINFO", 3),
    ] {
        assert_eq!(ask(&chain, question), "REFUSED (no message)", "{question} goes on");
        let round = lookout.round.borrow();
        assert_eq!((round.seen, round.returned.is_some()), (seen, seen > 1), "{question}");
    }
}

#[test]
fn afterwards_no_name_means_anything() {
    let lookout = lookout_for("1.2.example.org");
    lookout.kept.store(false, Relaxed);
    let chain = chain(Loop(lookout.clone()));
    (0..5).for_each(|_| drop(ask(&chain, "1.2.example.org HINFO")));
    assert_eq!(lookout.round.borrow().seen, 0);
}

/// What a server does with a probe, the number of which it is told.
type Server = fn(&Lookout, NameRef<'_>, usize) -> Answers;

#[derive(PartialEq)]
enum Answers {
    Yes,
    No,
}

/// How a look-out ends at a server, and how many probes that saw.
async fn outcome(lookout: &Lookout, server: Server) -> (Result, usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let (way, clock) = (Way { address: socket.local_addr().ok(), chain: None }, Clock::manual());
    let (mut probes, mut names) = (0, Vec::new());
    let serve = async {
        let mut packet = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut packet).await.expect("a probe");
            clock.advance(Duration::from_secs(3));
            let name = NameRef::read(&packet[HEADER..]).expect("a name").to_name();
            let fresh = !names.contains(&name);
            assert!(fresh, "{name} is asked for twice");
            probes += 1;
            lookout.see(name.as_ref(), from);
            let answers = server(lookout, name.as_ref(), probes);
            names.push(name);
            if answers == Answers::Yes {
                packet[2] |= 0x80;
                socket.send_to(&packet[..length], from).await.expect("sent");
            }
        }
    };
    let end = tokio::select! {
        end = lookout.keep(&way, &clock) => end,
        () = serve => unreachable!("it never ends"),
    };
    assert!(!lookout.is_kept());
    (end, probes)
}

#[tokio::test(start_paused = true)]
async fn what_always_comes_back_is_a_loop() {
    let lookout = Lookout::new(Name::from_text("example.org").expect("a name"));
    let (end, probes) = outcome(&lookout, |lookout, name, _| {
        lookout.see(name, client());
        Answers::No
    })
    .await;
    let words = end.expect_err("a loop").to_string();
    let begins = words.starts_with("Loop (192.0.2.1:53 -> 127.0.0.1:");
    assert!(begins && words.contains(") detected for zone \"example.org.\", see https://"), "{words}");
    assert!(words.contains(".example.org.\". An upstream") && words.contains("resolv.conf"), "{words}");
    assert_eq!(probes, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_or_repeated_is_none() {
    let answered: Server = |_, _, _| Answers::Yes;
    let (end, probes) = outcome(&Lookout::new(Name::root()), answered).await;
    assert_eq!((end.is_ok(), probes), (true, 1));

    let replayed: Server = |lookout, name, probes| {
        if probes < 3 {
            (0..100).for_each(|_| lookout.see(name, client()));
        }
        if probes > 1 { Answers::Yes } else { Answers::No }
    };
    let (end, probes) = outcome(&Lookout::new(Name::root()), replayed).await;
    assert_eq!((end.is_ok(), probes), (true, 3), "who repeats some names stops nobody");

    let silent: Server = |_, _, _| Answers::No;
    let (end, probes) = outcome(&Lookout::new(Name::root()), silent).await;
    assert_eq!((end.is_ok(), probes), (true, 10), "30 seconds, and a probe in three");
}

/// Sends each query back, or fails.
struct Returns(Arc<Lookout>);

impl Plugin for Returns {
    fn query(&self, q: &mut Query) -> Result<Step> {
        self.0.see(q.name(), client());
        q.reply.bare(Rcode::SERVFAIL);
        Ok(Step::Done)
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_that_sockets_do_not_lead_to_is_asked_too() {
    let lookout = Arc::new(Lookout::new(Name::root()));
    let links = vec![
        Link { name: "loop", plugin: Box::new(Loop(lookout.clone())) },
        Link { name: "returns", plugin: Box::new(Returns(lookout.clone())) },
    ];
    let way = Way { address: None, chain: Some(Arc::new(Chain::new(links, Panics::Catch))) };
    let end = lookout.keep(&way, &Clock::manual()).await;
    assert!(end.expect_err("a loop").to_string().starts_with("Loop (192.0.2.1:53 -> :0)"));

    let lookout = Arc::new(Lookout::new(Name::root()));
    let way = Way { address: None, chain: Some(Arc::new(chain(Loop(lookout.clone())))) };
    assert!(lookout.keep(&way, &Clock::manual()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_with_tcp_only_is_asked_over_tcp() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let way = Way { address: listener.local_addr().ok(), chain: None };
    let lookout = Lookout::new(Name::root());
    let serve = async {
        let (mut stream, from) = listener.accept().await.expect("a connection");
        let mut packet = [0; 512];
        let length = stream.read(&mut packet).await.expect("a probe");
        lookout.see(NameRef::read(&packet[2 + HEADER..]).expect("a name"), from);
        packet[4] |= 0x80;
        stream.write_all(&packet[..length]).await.expect("sent");
    };
    let clock = Clock::system();
    let (end, ()) = tokio::join!(lookout.keep(&way, &clock), serve);
    assert!(end.is_ok());
}
