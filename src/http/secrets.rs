//! What somebody with a key makes for a browser or a device: client secrets (`ek_…`), good for a while, and tickets (`ft_…`), good
//! for one socket. What each opens lies in the memory that servers share, under its digest.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::{Door, Refused, Visitor, digest};
use crate::{
    auth::{DIGITS, Principal, token},
    protocol::openai::Kind,
};

/// What every client secret begins with; OpenAI's browser libraries accept no other.
pub(super) const PREFIX: &str = "ek_";

/// What every ticket begins with.
pub(super) const TICKET: &str = "ft_";

/// How long a secret may be good for, in seconds.
pub(super) const TTL_S: std::ops::RangeInclusive<u64> = 10..=7_200;

/// How long it is if nobody says.
pub(super) const TTL_DEFAULT_S: u64 = 600;

/// How long a ticket is good for, in seconds.
pub(super) const TICKET_TTL_S: u64 = 60;

/// What a client secret opens.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// The kind of session.
    pub(super) kind: Kind,
    /// The session object, checked when the secret was made.
    pub(super) session: Option<Value>,
    /// When it ends, in seconds since 1970.
    pub(super) expires_at: u64,
}

/// The same as servers tell it each other.
#[derive(Serialize, Deserialize)]
struct Grant {
    principal: Principal,
    /// The origin whose pages may use it; none: any that may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// Whether the session transcribes and nothing else.
    #[serde(default)]
    transcribes: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Value>,
    expires_at: u64,
}

impl Door {
    /// A new secret with which its holder is `principal`, and gets `bound`. It may open several sessions until it ends; those
    /// go on after that.
    pub(super) async fn make_secret(&self, principal: Principal, bound: Bound) -> String {
        let grant = Grant {
            principal,
            origin: None,
            transcribes: matches!(bound.kind, Kind::Transcription),
            session: bound.session,
            expires_at: bound.expires_at,
        };
        self.leave(PREFIX, &grant).await
    }

    /// A new ticket with which its holder is `principal`, for pages of this origin, and when it ends, in seconds since 1970.
    pub(super) async fn make_ticket(&self, principal: Principal, origin: Option<String>) -> (String, u64) {
        let expires_at = now_s() + TICKET_TTL_S;
        let grant = Grant { principal, origin, transcribes: false, session: None, expires_at };
        (self.leave(TICKET, &grant).await, expires_at)
    }

    /// Leaves a grant under a new name where every server finds it; while that is away, where this one does.
    async fn leave(&self, prefix: &str, grant: &Grant) -> String {
        let ttl = Duration::from_secs(grant.expires_at.saturating_sub(now_s()));
        let json = Bytes::from(serde_json::to_vec(grant).unwrap_or_default());
        let name = token(prefix, DIGITS);
        if self.shared.put_grant(digest(&name), json.clone(), ttl).await.is_ok() {
            return name;
        }
        // What timed out may be there all the same, and one name must not be good twice.
        let name = token(prefix, DIGITS);
        self.shared.put_grant_here(digest(&name), json, ttl);
        name
    }

    /// Who has a client secret, and what it opens.
    pub(super) async fn open_secret(&self, secret: &str) -> Result<Visitor, Refused> {
        let grant = self.shared.grant(digest(secret)).await.map_err(|_| Refused::Unavailable)?;
        let Grant { principal, transcribes, session, expires_at, .. } = read(grant)?;
        let kind = if transcribes { Kind::Transcription } else { Kind::Realtime };
        self.unless_revoked(Visitor { principal, bound: Some(Bound { kind, session, expires_at }) }).await
    }

    /// Who has a ticket, which is spent with this, whatever comes of it.
    pub(super) async fn take_ticket(&self, ticket: &str, headers: &HeaderMap) -> Result<Visitor, Refused> {
        let grant = self.shared.take_grant(digest(ticket)).await.map_err(|_| Refused::Unavailable)?;
        let Grant { principal, origin, .. } = read(grant)?;
        let from = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        if origin.is_some_and(|origin| from.is_none_or(|from| !from.eq_ignore_ascii_case(&origin))) {
            return Err(Refused::Wrong);
        }
        self.unless_revoked(principal.into()).await
    }
}

fn read(grant: Option<Bytes>) -> Result<Grant, Refused> {
    let grant: Option<Grant> = grant.and_then(|json| serde_json::from_slice(&json).ok());
    grant.filter(|grant| grant.expires_at > now_s()).ok_or(Refused::Wrong)
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "OpenAI's protocol tells ends as wall time")]
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::http::auth::tests::door;

    fn until(expires_at: u64) -> Bound {
        Bound { kind: Kind::Transcription, session: Some(serde_json::json!({ "a": 1 })), expires_at }
    }

    #[tokio::test]
    async fn secrets_differ_fit_into_a_subprotocol_and_open_until_they_end() {
        let door = door("key");
        let one = door.make_secret(Principal::anybody(), until(now_s() + 100)).await;
        let other = door.make_secret(Principal::anybody(), until(now_s() + 100)).await;
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + DIGITS);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{one}");
        for _ in 0..2 {
            let bound = door.open_secret(&one).await.unwrap().bound.unwrap();
            assert!(matches!(bound.kind, Kind::Transcription) && bound.session.unwrap()["a"] == 1);
        }
        assert_eq!(door.open_secret("ek_0").await.unwrap_err(), Refused::Wrong);
        let ended = door.make_secret(Principal::anybody(), until(now_s())).await;
        assert_eq!(door.open_secret(&ended).await.unwrap_err(), Refused::Wrong);
    }

    #[tokio::test]
    async fn a_ticket_is_good_once_and_for_its_origin() {
        let door = door("key");
        let from = |origin: &'static str| HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
        let (ticket, expires_at) = door.make_ticket(Principal::anybody(), None).await;
        assert!(expires_at > now_s() && expires_at <= now_s() + TICKET_TTL_S);
        assert!(door.take_ticket(&ticket, &from("https://a.example")).await.is_ok());
        assert_eq!(door.take_ticket(&ticket, &HeaderMap::new()).await.unwrap_err(), Refused::Wrong);
        let bound = async || door.make_ticket(Principal::anybody(), Some("https://a.example".into())).await.0;
        assert!(door.take_ticket(&bound().await, &from("https://A.example")).await.is_ok());
        for headers in [from("https://a.example.org"), from("null"), HeaderMap::new()] {
            assert_eq!(door.take_ticket(&bound().await, &headers).await.unwrap_err(), Refused::Wrong);
        }
    }
}
