//! The HTTP side: connections, paths, lists, discovery.

use super::cut::Cut;
use super::list::{Page, list};
use super::select::Selection;
use super::store::{KINDS, Key};
use super::tls::Tls;
use super::watch::{self, Opening};
use super::{Request, Shared};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A body, whole or streamed.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves until it is aborted, all its connections with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, tls: Option<Tls>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            let stream = Cut { stream, shared: shared.clone() };
            match tls {
                None => connection(stream, &shared).await,
                // A client that does not trust this server, or is not trusted, comes no further.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, &shared).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Arc<Shared>) {
    let service = service_fn(|request| answer(request, shared.clone()));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // How a connection ends is the client's business, or a fault that was asked for.
    tokio::select! { _ = connection => {}, () = shared.cut.notified() => {} }
}

async fn answer(request: hyper::Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Infallible> {
    shared.note(Request { method: request.method().to_string(), target: request.uri().to_string() });
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let query = parameters(request.uri().query().unwrap_or_default());
    let names = header(&request, "accept").contains("as=PartialObjectMetadataList");
    let faults = shared.faults().clone();
    tokio::time::sleep(faults.delay()).await;
    if !faults.token.is_empty() && header(&request, "authorization") != format!("Bearer {}", faults.token) {
        return Ok(failure(401, "Unauthorized", "Unauthorized", None));
    }
    if let Some(code) = faults.status_for(path.rsplit('/').next().unwrap_or_default()) {
        let mut refusal = failure(code, "ServiceUnavailable", "injected", None);
        if faults.retry_after > 0 {
            refusal.headers_mut().insert("retry-after", faults.retry_after.into());
        }
        return Ok(refusal);
    }
    Ok(match Target::of(&path) {
        Some(Target { kind, namespace, name: Some(name) }) => {
            object(&shared, kind, (namespace.unwrap_or_default(), name))
        }
        Some(Target { kind, namespace, name: None }) => collection(&shared, kind, namespace, &query, names).await,
        None => discovery(&path),
    })
}

fn header<'a>(request: &'a hyper::Request<Incoming>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// What a path is about.
struct Target {
    kind: usize,
    namespace: Option<String>,
    name: Option<String>,
}

impl Target {
    fn of(path: &str) -> Option<Self> {
        KINDS.iter().enumerate().find_map(|(kind, k)| {
            let rest = path.strip_prefix(k.prefix)?.strip_prefix('/')?;
            let parts: Vec<&str> = rest.split('/').collect();
            let (namespace, parts) = match &parts[..] {
                ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
                all => (None, all),
            };
            let name = parts.get(1).map(|n| (*n).to_owned());
            (*parts.first()? == k.plural).then_some(Self { kind, namespace, name })
        })
    }
}

fn object(shared: &Shared, kind: usize, key: Key) -> Response<Body> {
    match shared.store().get(kind, &key) {
        Some(stored) => whole(StatusCode::OK, stored.text.clone()),
        None => failure(404, "NotFound", "", None),
    }
}

async fn collection(
    shared: &Arc<Shared>,
    kind: usize,
    namespace: Option<String>,
    query: &HashMap<String, String>,
    names: bool,
) -> Response<Body> {
    let text = |key: &str| query.get(key).cloned().unwrap_or_default();
    let truth = |key: &str| matches!(query.get(key).map(String::as_str), Some("1" | "true"));
    let selection = Selection { namespace, labels: text("labelSelector"), fields: text("fieldSelector") };
    let version: u64 = text("resourceVersion").parse().unwrap_or(0);
    let (watch, initial) = (truth("watch"), truth("sendInitialEvents"));
    if (!watch || initial) && version > shared.store().version {
        return too_new();
    }
    if !watch {
        let (limit, token) = (text("limit").parse().unwrap_or(0), text("continue"));
        return list(shared, Page { kind, selection, limit, token, names }).await;
    }
    let seconds = text("timeoutSeconds").parse().unwrap_or(3600);
    let bookmarks = truth("allowWatchBookmarks");
    watch::open(shared, Opening { kind, selection, version, initial, bookmarks, seconds }).await
}

fn discovery(path: &str) -> Response<Body> {
    let group = |name: &str, version: &str| {
        let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
        json!({"name": name, "versions": [version], "preferredVersion": version})
    };
    let groups = || json!([group("discovery.k8s.io", "v1"), group("multicluster.x-k8s.io", "v1alpha1")]);
    let value = match path {
        "/version" => json!({"major": "1", "minor": "35", "gitVersion": "v1.35.0", "platform": "linux/amd64"}),
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()}),
        "/healthz" | "/readyz" | "/livez" => return whole(StatusCode::OK, Bytes::from_static(b"ok")),
        _ => return resources(path).unwrap_or_else(|| failure(404, "NotFound", "", None)),
    };
    whole(StatusCode::OK, value.to_string().into())
}

/// The resources of the group and version at a path.
fn resources(path: &str) -> Option<Response<Body>> {
    let kinds: Vec<_> = KINDS.iter().filter(|k| k.prefix == path).collect();
    let resource = |k: &&super::store::Kind| {
        json!({"name": k.plural, "singularName": "", "namespaced": !matches!(k.name, "Namespace" | "Node"),
            "kind": k.name, "verbs": ["get", "list", "watch"]})
    };
    let resources: Vec<Value> = kinds.iter().map(resource).collect();
    let version = kinds.first()?.version;
    let value = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources});
    Some(whole(StatusCode::OK, value.to_string().into()))
}

fn too_new() -> Response<Body> {
    let message = "Too large resource version";
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": message});
    failure(504, "Timeout", message, Some(json!({"causes": [cause], "retryAfterSeconds": 1})))
}

/// A `Status` that says no.
pub(super) fn failure(code: u16, reason: &str, message: &str, details: Option<Value>) -> Response<Body> {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": message});
    if let Some(details) = details {
        status["details"] = details;
    }
    whole(StatusCode::from_u16(code).expect("a status"), status.to_string().into())
}

pub(super) fn whole(code: StatusCode, body: Bytes) -> Response<Body> {
    respond(code, Full::new(body).map_err(|never| match never {}).boxed_unsync())
}

/// A response of JSON.
pub(super) fn respond(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}

/// `a=b&c=d` with its escapes undone.
fn parameters(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(c) = bytes.next() {
        let digits = || Some([bytes.clone().next()?, bytes.clone().nth(1)?]);
        let escaped = (c == b'%').then(digits).flatten();
        let octet = escaped.and_then(|d| u8::from_str_radix(std::str::from_utf8(&d).ok()?, 16).ok());
        if octet.is_some() {
            bytes.nth(1);
        }
        out.push(octet.unwrap_or(if c == b'+' { b' ' } else { c }));
    }
    String::from_utf8_lossy(&out).into_owned()
}
