//! Who is let in: passwords and the limit of requests of a web configuration.

use super::web_config::{Limit, Protection};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Passwords that were right, and requests that are still allowed, of one endpoint.
#[derive(Default)]
pub struct Guard {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Hashes of user, password and its hash in the file: bcrypt takes a tenth of a second, and is asked once.
    known: BTreeSet<[u8; 32]>,
    /// Requests that are allowed, and when that was reckoned.
    tokens: Option<(f64, Instant)>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Welcome,
    /// 401.
    Unauthorized,
    /// 429.
    TooMany,
}

impl Guard {
    /// Decides about a request with these headers. A password that is not known yet is checked on a thread of its own.
    pub async fn check(&self, protection: &Protection, headers: &HeaderMap, now: Instant) -> Verdict {
        if protection.limit.is_some_and(|limit| !self.take(limit, now)) {
            return Verdict::TooMany;
        }
        if protection.users.is_empty() {
            return Verdict::Welcome;
        }
        let Some((user, password)) = credentials(headers) else { return Verdict::Unauthorized };
        let hash = protection.users.get(&user).cloned();
        let known = fingerprint(&user, &password, hash.as_deref().unwrap_or_default());
        if self.state().known.contains(&known) {
            return Verdict::Welcome;
        }
        // A user that does not exist takes as long as one that does: names cannot be guessed by time.
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let right = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        if !right.await.unwrap_or(false) || !exists {
            return Verdict::Unauthorized;
        }
        let mut state = self.state();
        if state.known.len() >= MAX_KNOWN {
            state.known.clear();
        }
        state.known.insert(known);
        Verdict::Welcome
    }

    /// Takes a token, if there is one.
    fn take(&self, limit: Limit, now: Instant) -> bool {
        let mut state = self.state();
        let burst = f64::from(limit.burst);
        let (tokens, since) = state.tokens.unwrap_or((burst, now));
        let gained = now.saturating_duration_since(since).as_secs_f64() / limit.interval.as_secs_f64();
        let tokens = (tokens + gained).min(burst);
        let allowed = tokens >= 1.0;
        state.tokens = Some((if allowed { tokens - 1.0 } else { tokens }, now));
        allowed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// User and password of basic authentication (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn fingerprint(user: &str, password: &str, hash: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [user, password, hash] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// Passwords that are remembered for one endpoint.
const MAX_KNOWN: usize = 100;
/// The hash of a password that nobody knows.
const NOBODY: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// How long a client is told to wait by a limit.
pub fn retry_after(limit: Limit) -> u64 {
    limit.interval.max(Duration::from_secs(1)).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_by(user: &str, password: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn a_password_is_asked_for() {
        let (guard, now) = (Guard::default(), api::Clock::manual().now());
        let users = [("alice".to_owned(), bcrypt::hash("sesame", 4).unwrap())].into();
        let file = Protection { users, ..Protection::default() };
        for _ in 0..2 {
            assert_eq!(guard.check(&file, &asked_by("alice", "sesame"), now).await, Verdict::Welcome);
        }
        let wrong = [asked_by("alice", "Sesame"), asked_by("bob", "sesame"), asked_by("", ""), HeaderMap::new()];
        for headers in wrong {
            assert_eq!(guard.check(&file, &headers, now).await, Verdict::Unauthorized, "{headers:?}");
        }
        let changed = [("alice".to_owned(), bcrypt::hash("other", 4).unwrap())].into();
        let file = Protection { users: changed, ..Protection::default() };
        assert_eq!(guard.check(&file, &asked_by("alice", "sesame"), now).await, Verdict::Unauthorized);
    }

    #[tokio::test]
    async fn requests_are_limited() {
        let (guard, clock, none) = (Guard::default(), api::Clock::manual(), HeaderMap::new());
        let limit = Some(Limit { interval: Duration::from_secs(2), burst: 2 });
        let file = Protection { limit, ..Protection::default() };
        let verdict = async || guard.check(&file, &none, clock.now()).await == Verdict::Welcome;
        assert_eq!([verdict().await, verdict().await, verdict().await], [true, true, false]);
        clock.advance(Duration::from_secs(2));
        assert_eq!([verdict().await, verdict().await], [true, false]);
    }
}
