//! Lists and watches against a scripted API server; against the simulated one: [`bars`], [`random`].

mod bars;
mod credentials;
mod random;
mod real;
mod world;

use super::*;
use crate::connect::{Limits, Place};
use crate::index::{Index, Options};
use api::task::StopSource;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// One request that must come, and what is answered.
struct Turn {
    /// What the request's target must contain.
    asked: &'static [&'static str],
    status: &'static str,
    /// Sent as it is; then the connection is closed, but for the last turn's, which stays open.
    body: String,
    /// The connection stays open here, too.
    open: bool,
}

fn turn(asked: &'static [&'static str], body: impl Into<String>) -> Turn {
    Turn { asked, status: "200 OK", body: body.into(), open: false }
}

fn refusal(asked: &'static [&'static str], status: &'static str) -> Turn {
    Turn { asked, status, body: json!({"kind": "Status", "message": "refused"}).to_string(), open: false }
}

const STREAMED: &[&str] = &["/api/v1/services?", "watch=true", "sendInitialEvents=true", "allowWatchBookmarks=true"];
const LISTED: &[&str] = &["/api/v1/services?limit="];

fn event(kind: &str, name: &str, version: u32) -> String {
    let object = json!({"metadata": {"name": name, "namespace": "d", "resourceVersion": version.to_string()},
                        "spec": {"clusterIP": "10.96.0.1"}});
    json!({"type": kind, "object": object}).to_string() + "\n"
}

fn bookmark(version: u32, end: bool) -> String {
    let annotations = if end { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
    json!({"type": "BOOKMARK", "object": {"kind": "Service", "metadata": metadata}}).to_string() + "\n"
}

fn gone() -> String {
    json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}).to_string() + "\n"
}

/// A list of these services, up to version 10.
fn stream(names: &[&str]) -> String {
    names.iter().map(|n| event("ADDED", n, 5)).collect::<String>() + &bookmark(10, true)
}

fn page(names: &[&str], next: &str) -> String {
    let items: Vec<_> = names.iter().map(|n| json!({"metadata": {"name": n, "namespace": "d"}})).collect();
    json!({"metadata": {"resourceVersion": "10", "continue": next}, "items": items}).to_string()
}

/// Plays the turns; ends when the last one has been asked for, with that connection still open.
async fn play(listener: TcpListener, turns: Vec<Turn>) -> tokio::net::TcpStream {
    let (last, mut open) = (turns.len() - 1, Vec::new());
    for (number, turn) in turns.into_iter().enumerate() {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let target = request.split(' ').nth(1).unwrap();
        for part in turn.asked {
            assert!(target.contains(part), "request {number}: {target} without {part}");
        }
        let head = format!("HTTP/1.1 {}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n", turn.status);
        stream.write_all((head + &turn.body).as_bytes()).await.unwrap();
        if number == last {
            return stream;
        }
        if turn.open {
            open.push(stream);
        }
    }
    unreachable!("there is a last turn")
}

/// Follows services through the turns, and returns those of `names` that are known at the end.
async fn follow_through(turns: Vec<Turn>, names: &[&'static str]) -> Vec<&'static str> {
    let (index, writer) = Index::new(&[Kind::Service], Options::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = Place::Endpoint { url, tls: None }.config().unwrap();
    let clock = Clock::system();
    let api = Api::new(config, crate::connect::Place::InCluster, Limits::new(0.0, 0, 1, clock.clone()), clock.clone())
        .unwrap();
    // Nothing but what the turns ask for.
    let pace = Pace { count: Duration::from_secs(3600), ..Pace::new(Duration::ZERO) };
    let watch = Watch { kind: Kind::Service, labels: String::new(), pace };
    let source = StopSource::default();
    let following = follow(watch, Arc::new(api), Arc::new(Mutex::new(writer)), clock, source.listen());
    let playing = async {
        let open = play(listener, turns).await;
        let marker = b"\x04last\x01d";
        while index.service(marker).is_none() {
            tokio::task::yield_now().await;
        }
        source.stop();
        drop(open);
    };
    let both = async { tokio::join!(following, playing) };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("the turns take a second or two");
    assert!(index.synced());
    let known = |name: &str| index.service(&[&[name.len() as u8], name.as_bytes(), b"\x01d"].concat()).is_some();
    names.iter().copied().filter(|name| known(name)).collect()
}

#[tokio::test]
async fn a_streaming_list_goes_on_as_a_watch() {
    let body = stream(&["a", "b"]) + &event("DELETED", "a", 11) + &event("ADDED", "last", 12);
    assert_eq!(follow_through(vec![turn(STREAMED, body)], &["a", "b", "last"]).await, ["b", "last"]);
}

#[tokio::test]
async fn a_server_without_streaming_lists_is_listed_page_by_page() {
    let turns = vec![
        refusal(STREAMED, "422 Unprocessable Entity"),
        turn(LISTED, page(&["a"], "more")),
        turn(&["limit=", "continue=more"], page(&["b"], "")),
        turn(&["watch=true", "resourceVersion=10"], event("ADDED", "last", 11)),
    ];
    assert_eq!(follow_through(turns, &["a", "b", "last"]).await, ["a", "b", "last"]);
}

#[tokio::test]
async fn a_streaming_list_may_be_refused_inside_of_the_stream() {
    let error = json!({"type": "ERROR", "object": {"code": 500, "message": "storage feature"}}).to_string() + "\n";
    let turns =
        vec![turn(STREAMED, error), turn(LISTED, page(&["a"], "")), turn(&["watch=true"], event("ADDED", "last", 11))];
    assert_eq!(follow_through(turns, &["a", "last"]).await, ["a", "last"]);
}

#[tokio::test]
async fn a_watch_that_ends_is_resumed_from_the_last_version() {
    let turns = vec![
        turn(STREAMED, stream(&["a"]) + &event("ADDED", "b", 12)),
        turn(&["resourceVersion=12"], bookmark(17, false)),
        turn(&["resourceVersion=17"], event("ADDED", "last", 18)),
    ];
    assert_eq!(follow_through(turns, &["a", "b", "last"]).await, ["a", "b", "last"]);
}

#[tokio::test]
async fn a_version_that_is_refused_is_reason_to_list_again() {
    let turns = vec![
        turn(STREAMED, stream(&["a", "b"])),
        refusal(&["resourceVersion=10"], "400 Bad Request"),
        turn(STREAMED, stream(&["a", "last"])),
    ];
    assert_eq!(follow_through(turns, &["a", "b", "last"]).await, ["a", "last"]);
}

#[tokio::test]
async fn a_streaming_list_that_is_taken_for_a_watch_comes_in_pages() {
    let first = turn(STREAMED, event("ADDED", "a", 5));
    let second = turn(LISTED, page(&["a"], ""));
    let begin = Clock::system().now();
    let turns = vec![Turn { open: true, ..first }, second, turn(&["watch=true"], event("ADDED", "last", 11))];
    assert_eq!(follow_through(turns, &["a", "last"]).await, ["a", "last"]);
    assert!(Clock::system().now() - begin < Duration::from_secs(5));
}

#[tokio::test]
async fn an_event_cut_in_the_middle_is_reason_to_list_again() {
    let cut = event("ADDED", "half", 14);
    let turns = vec![turn(STREAMED, stream(&["a"]) + &cut[..cut.len() / 2]), turn(STREAMED, stream(&["b", "last"]))];
    assert_eq!(follow_through(turns, &["a", "b", "half", "last"]).await, ["b", "last"]);
}

#[tokio::test]
async fn a_version_that_goes_back_is_reason_to_list_again() {
    let turns =
        vec![turn(STREAMED, stream(&["a", "b"]) + &event("ADDED", "c", 9)), turn(STREAMED, stream(&["a", "last"]))];
    assert_eq!(follow_through(turns, &["a", "b", "c", "last"]).await, ["a", "last"]);
}

#[tokio::test]
async fn what_is_gone_or_garbage_is_listed_again() {
    let garbage = "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\u{0} not json}}\n";
    let turns = vec![
        turn(STREAMED, stream(&["a", "b"]) + &gone()),
        turn(STREAMED, stream(&["b", "c"]) + garbage),
        turn(STREAMED, stream(&["c", "d"])),
        turn(&["resourceVersion=10"], gone()),
        turn(STREAMED, stream(&["c", "last"])),
    ];
    assert_eq!(follow_through(turns, &["a", "b", "c", "d", "last"]).await, ["c", "last"]);
}

#[tokio::test]
async fn a_list_that_breaks_off_removes_nothing() {
    let whole = page(&["b"], "");
    let turns = vec![
        turn(STREAMED, stream(&["a", "b"]) + &gone()),
        // A stream that ends too early: pages may not.
        turn(STREAMED, event("ADDED", "b", 5)),
        turn(LISTED, &whole[..whole.len() - 2]),
        turn(LISTED, page(&["b"], "more")),
        refusal(&["continue=more"], "410 Gone"),
        refusal(&["/api/v1/services?"], "403 Forbidden"),
        refusal(LISTED, "503 Service Unavailable"),
        turn(LISTED, page(&["a"], "")),
        turn(&["watch=true", "resourceVersion=10"], event("ADDED", "last", 11)),
    ];
    assert_eq!(follow_through(turns, &["a", "b", "last"]).await, ["a", "last"]);
}

#[tokio::test]
async fn objects_that_make_no_sense_do_not_stop_the_others() {
    let odd = json!({"type": "ADDED", "object": {"metadata": {"name": "odd", "namespace": "d", "resourceVersion": "11"},
                     "spec": {"clusterIP": {}}}});
    let body = stream(&["a"]) + &odd.to_string() + "\n" + &event("ADDED", "last", 12);
    assert_eq!(follow_through(vec![turn(STREAMED, body)], &["a", "odd", "last"]).await, ["a", "last"]);
}

#[tokio::test]
async fn a_kind_that_is_installed_later_is_found() {
    let missing = |asked| refusal(asked, "404 Not Found");
    let turns = vec![
        missing(STREAMED),
        missing(LISTED),
        missing(LISTED),
        turn(LISTED, page(&["a"], "")),
        turn(&["watch=true", "resourceVersion=10"], event("ADDED", "last", 11)),
    ];
    assert_eq!(follow_through(turns, &["a", "last"]).await, ["a", "last"]);
}
