//! Who talks at this moment, with which credential: so that it ends with it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::Principal;

/// The credentials of live sessions of this process. Cheap to clone. As many entries as there are sessions.
#[derive(Debug, Clone, Default)]
pub struct Live {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    watched: Mutex<HashMap<u64, Watched>>,
    number: AtomicU64,
}

#[derive(Debug)]
struct Watched {
    tenant: String,
    ids: Vec<String>,
    expires_at_ms: Option<i64>,
    ended: CancellationToken,
}

/// Watches over one session's credential, until it is dropped.
#[derive(Debug)]
pub struct Vigil {
    live: Live,
    number: u64,
    ended: CancellationToken,
}

impl Live {
    /// Watches over the credential of somebody who begins to talk.
    pub fn watch(&self, who: &Principal) -> Vigil {
        let (number, ended) = (self.inner.number.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        if !who.is_anybody() {
            let watched = Watched {
                tenant: who.tenant.clone(),
                ids: who.credential.ids().map(str::to_owned).collect(),
                expires_at_ms: who.credential.expires_at_ms,
                ended: ended.clone(),
            };
            self.watched().insert(number, watched);
        }
        Vigil { live: self.clone(), number, ended }
    }

    /// The credentials that somebody talks with, each once.
    pub fn credentials(&self) -> Vec<String> {
        let watched = self.watched();
        let all: BTreeSet<&String> = watched.values().flat_map(|watched| &watched.ids).collect();
        all.into_iter().cloned().collect()
    }

    /// A credential of a tenant is good no more. Gives how many sessions that ends.
    pub fn end(&self, tenant: &str, credential: &str) -> usize {
        self.end_those(|watched| watched.tenant == tenant && watched.ids.iter().any(|id| id == credential))
    }

    /// Ends the sessions whose credential has expired at this time.
    pub fn expire(&self, now_ms: i64) -> usize {
        self.end_those(|watched| watched.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms))
    }

    fn end_those(&self, is_over: impl Fn(&Watched) -> bool) -> usize {
        let watched = self.watched();
        let over = watched.values().filter(|watched| !watched.ended.is_cancelled() && is_over(watched));
        over.map(|watched| watched.ended.cancel()).count()
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<u64, Watched>> {
        self.inner.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vigil {
    /// Cancelled when the credential ends.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        self.live.watched().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Credential;

    #[test]
    fn a_session_ends_with_whatever_its_credential_was_made_with() {
        let live = Live::default();
        let key = Credential { id: "key_1".into(), expires_at_ms: Some(1_000), ..Credential::default() };
        let with = |credential| Principal { credential, ..Principal::anybody() };
        let ticket = live.watch(&with(key.child("ticket_1".into())));
        let other = live.watch(&with(Credential { id: "key_2".into(), ..Credential::default() }));
        let anybody = live.watch(&Principal::anybody());
        assert_eq!(live.credentials(), ["key_1", "key_2", "ticket_1"]);
        assert_eq!(live.end("another", "key_1"), 0, "a tenant ends its own");
        assert_eq!(live.expire(999), 0);
        assert_eq!(live.end("default", "key_1"), 1);
        assert!(ticket.ended().is_cancelled() && !other.ended().is_cancelled());
        assert_eq!((live.end("default", "key_1"), live.expire(1_000)), (0, 0), "once is enough");
        drop((ticket, other));
        assert!(live.credentials().is_empty() && !anybody.ended().is_cancelled());
    }
}
