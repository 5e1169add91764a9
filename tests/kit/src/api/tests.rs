use super::Api;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The whole response to a GET; a watch is read until `enough` is in it.
async fn get(api: &Api, target: &str, enough: &str) -> String {
    let address = api.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut buffer).await.unwrap_or(0);
        all.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&all).into_owned();
        if n == 0 || !enough.is_empty() && text.contains(enough) {
            return text;
        }
    }
}

fn body(response: &str) -> Value {
    let (_, body) = response.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

fn service(name: &str, app: &str) -> Value {
    json!({"kind": "Service", "metadata": {"namespace": "a", "name": name, "labels": {"app": app}}})
}

#[tokio::test]
async fn lists_in_pages_and_by_selector() {
    let api = Api::start([service("one", "x"), service("two", "y"), service("three", "x")]).await.expect("started");
    let first = body(&get(&api, "/api/v1/services?limit=2", "").await);
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    let token = first["metadata"]["continue"].as_str().expect("more");
    let second = body(&get(&api, &format!("/api/v1/services?limit=2&continue={token}"), "").await);
    assert_eq!(second["items"][0]["metadata"]["name"], "three");
    let some = body(&get(&api, "/api/v1/namespaces/a/services?labelSelector=app%3Dx", "").await);
    assert_eq!(some["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(body(&get(&api, "/api/v1/namespaces/a/services/two", "").await)["metadata"]["uid"], "Service-a-two");
    assert_eq!(body(&get(&api, "/api/v1/secrets", "").await)["code"], 404);
    assert_eq!(api.requests().len(), 5);
}

#[tokio::test]
async fn watches_tell_what_happens() {
    let api = Api::start([service("one", "x")]).await.expect("started");
    let streaming = "/api/v1/services?watch=1&sendInitialEvents=true&labelSelector=app%3Dx";
    let change = async {
        while api.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        api.put(service("one", "y"));
    };
    let (seen, ()) = tokio::join!(get(&api, streaming, "DELETED"), change);
    let order: Vec<usize> = ["ADDED", "initial-events-end", "DELETED"].iter().filter_map(|w| seen.find(w)).collect();
    assert_eq!(order.len(), 3, "{seen}");
    assert!(order.is_sorted(), "{seen}");
}

#[tokio::test]
async fn history_is_forgotten_and_faults_are_served() {
    let api = Api::start([service("one", "x")]).await.expect("started");
    api.compact();
    assert!(get(&api, "/api/v1/services?watch=1&resourceVersion=2", "").await.contains("410"));
    api.fault(|f| f.merge(&json!({"status": 503, "only": ["pods"]})).expect("known faults"));
    assert_eq!(body(&get(&api, "/api/v1/pods", "").await)["code"], 503);
    assert_eq!(body(&get(&api, "/api/v1/services", "").await)["kind"], "ServiceList");
    api.fault(|f| assert!(f.merge(&json!({"nonsense": 1})).is_err()));
    let address = api.url().trim_start_matches("http://").to_owned();
    api.down().await;
    assert!(TcpStream::connect(&address).await.is_err());
    api.up().await.expect("up");
    assert!(TcpStream::connect(&address).await.is_ok());
}

#[tokio::test]
async fn pages_are_of_one_state_and_expire() {
    let api = Api::start(["one", "two", "three"].map(|n| service(n, "x"))).await.expect("started");
    let first = body(&get(&api, "/api/v1/services?limit=1", "").await);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    let next = format!("/api/v1/services?limit=9&continue={}", first["metadata"]["continue"].as_str().expect("more"));
    api.delete("Service", "a", "one");
    let second = body(&get(&api, &next, "").await);
    assert_eq!(second["items"].as_array().map(Vec::len), Some(2), "{second}");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    api.compact();
    assert_eq!(body(&get(&api, &next, "").await)["code"], 410);
    let selected = body(&get(&api, "/api/v1/services?limit=1&labelSelector=app%3Dx", "").await);
    assert!(selected["metadata"]["remainingItemCount"].is_null() && selected["metadata"]["continue"].is_string());
}

#[tokio::test]
async fn connections_are_cut_after_any_octet() {
    let api = Api::start([service("one", "x")]).await.expect("started");
    let whole = get(&api, "/api/v1/services", "").await;
    for octets in [1, 2, 40, whole.len() as u64] {
        api.fault(|f| f.cut = octets);
        let cut = get(&api, "/api/v1/services", "").await;
        assert_eq!(cut.len() as u64, octets - 1);
        assert!(whole.starts_with(&cut[..20.min(cut.len())]));
    }
    assert_eq!(get(&api, "/api/v1/services", "").await.len(), whole.len());
}

#[tokio::test]
async fn a_backup_is_restored() {
    let api = Api::start([service("one", "x")]).await.expect("started");
    let backup = api.backup();
    api.put(service("two", "x"));
    api.restore(&backup);
    let list = body(&get(&api, "/api/v1/services", "").await);
    assert_eq!((list["items"].as_array().map(Vec::len), &list["metadata"]["resourceVersion"]), (Some(1), &json!("2")));
    assert!(get(&api, "/api/v1/services?watch=1&resourceVersion=1", "").await.contains("410"));
}
