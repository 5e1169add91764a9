//! A simulated Kubernetes API server: what a client that lists and watches can see of one, and the ways in which it fails.
//!
//! [`Api`] is the handle. Objects are JSON values; a store and an event log per kind are behind a lock, the HTTP server
//! (`http.rs`) reads them, and each watch is a stream (`watch.rs`) that is fed with the events.

mod cut;
mod faults;
mod http;
mod list;
mod select;
mod store;
mod tls;
mod watch;

pub use faults::Faults;
pub use store::Backup;
pub use tls::Certificates;

use crate::Port;
use list::Snapshots;
use serde_json::{Value, json};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use tls::Tls;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// An API server on a port of 127.0.0.1, over plain HTTP. It stops when dropped.
pub struct Api {
    port: Port,
    shared: Arc<Shared>,
    server: Mutex<Option<JoinHandle<()>>>,
    tls: Mutex<Option<Tls>>,
}

/// What the handle, the connections and the watches have in common.
struct Shared {
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    requests: Mutex<Vec<Request>>,
    snapshots: Mutex<Snapshots>,
    /// Told when every connection is to be cut.
    cut: Notify,
}

/// A request that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` and so on.
    pub method: String,
    /// Path and query.
    pub target: String,
}

impl Api {
    /// Starts a server that holds these objects, on a free port and the current tokio runtime.
    ///
    /// # Errors
    /// The port cannot be opened.
    ///
    /// # Panics
    /// See [`Self::put`].
    pub async fn start(objects: impl IntoIterator<Item = Value>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::default()),
            faults: Mutex::new(Faults::default()),
            requests: Mutex::new(Vec::new()),
            snapshots: Mutex::default(),
            cut: Notify::new(),
        });
        let api = Self { port: Port::free(), shared, server: Mutex::new(None), tls: Mutex::default() };
        objects.into_iter().for_each(|o| api.put(o));
        api.up().await?;
        Ok(api)
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls().is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port.number())
    }

    /// Speaks TLS from the next [`Self::up`] on, with these certificates.
    pub fn use_tls(&self, certificates: &Certificates) {
        *self.tls() = Some(certificates.server(&[]));
    }

    /// A kubeconfig that leads here.
    pub fn kubeconfig(&self) -> String {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "t",
            "clusters": [{"name": "t", "cluster": {"server": self.url()}}], "users": [{"name": "t", "user": {}}],
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}]})
        .to_string()
    }

    /// Creates or changes an object; every watch that selects it is told.
    ///
    /// # Panics
    /// The object has no `kind` that is served (see [`store::KINDS`]), or no name.
    pub fn put(&self, object: Value) {
        let dropped = self.take(|f| &mut f.drop);
        self.store().put(object, dropped);
    }

    /// Removes an object.
    ///
    /// # Panics
    /// There is none.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let dropped = self.take(|f| &mut f.drop);
        self.store().delete(kind, namespace, name, dropped);
    }

    /// Forgets all history: watches from an older version are told 410 Gone.
    pub fn compact(&self) {
        self.store().compact();
    }

    /// Comes back from an old backup: versions start again at `version`, history is gone. Change the objects afterwards.
    pub fn rollback(&self, version: u64) {
        self.store().rollback(version);
    }

    /// The state of all objects.
    pub fn backup(&self) -> Backup {
        self.store().backup()
    }

    /// Goes back to the state of a backup. No watch is told; watches from later versions hear nothing, as with a real server.
    pub fn restore(&self, backup: &Backup) {
        self.store().restore(backup);
    }

    /// What the server holds now.
    pub fn objects(&self) -> Vec<Value> {
        self.store().all().cloned().collect()
    }

    /// Changes the faults.
    pub fn fault(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.faults());
    }

    /// What was asked so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Cuts every connection.
    pub fn drop_connections(&self) {
        self.shared.cut.notify_waiters();
    }

    /// Stops listening and cuts every connection.
    pub async fn down(&self) {
        let server = self.server().take();
        if let Some(server) = server {
            server.abort();
            // The port is free when the task has ended, however it did.
            let _ = server.await;
        }
    }

    /// Goes away and comes back without its history, as a real server does that is started again.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub async fn restart(&self) -> io::Result<()> {
        self.down().await;
        self.compact();
        self.up().await
    }

    /// Listens again.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub async fn up(&self) -> io::Result<()> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.port.number())).await?;
        let server = tokio::spawn(http::serve(listener, self.shared.clone(), self.tls().clone()));
        if let Some(old) = self.server().replace(server) {
            old.abort();
        }
        Ok(())
    }

    fn take(&self, count: impl FnOnce(&mut Faults) -> &mut u32) -> bool {
        self.shared.faults().take(count)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store()
    }

    fn tls(&self) -> MutexGuard<'_, Option<Tls>> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(server) = self.server().take() {
            server.abort();
        }
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
}

#[cfg(test)]
mod tests;
