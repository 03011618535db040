//! The door: finds what a request shows, and says who sent it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Extensions, HeaderMap, header},
    middleware::Next,
    response::Response,
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{
    App,
    secrets::{Bound, Secrets},
    socket,
};
use crate::{auth::Principal, protocol::native::wire::AUTH_SUBPROTOCOL_PREFIX};

/// The door: one function says who somebody is.
pub struct Door {
    /// Whether anything has to be shown.
    is_locked: bool,
    /// Digests of the configured keys. The keys themselves are kept nowhere.
    keys: Vec<Hash>,
    /// Whether a key may stand in the address.
    query: bool,
    /// Secrets that open one kind of session for a while.
    pub(super) secrets: Secrets,
}

/// What is compared: digests, so that the time a comparison takes says nothing about a key.
pub(super) type Hash = [u8; 32];

/// Somebody who may come in.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who it is.
    pub(super) principal: Principal,
    /// What a client secret is bound to, if that is what was shown.
    pub(super) bound: Option<Bound>,
}

impl From<Principal> for Visitor {
    fn from(principal: Principal) -> Self {
        Self { principal, bound: None }
    }
}

/// Somebody who may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// There was no key.
    #[error("You didn't provide an API key. Send it as \"Authorization: Bearer KEY\".")]
    Missing,
    /// It is none of ours, was revoked, or has expired.
    #[error("Incorrect API key provided, or an expired client secret.")]
    Wrong,
    /// It stood in the address.
    #[error(
        "Keys are not read from the address, where they end up in logs. Send \"Authorization: Bearer KEY\", or the \
         WebSocket subprotocol openai-insecure-api-key.KEY; server.query_keys allows it."
    )]
    InAddress,
}

/// What the door said of a request, for everything behind it.
#[derive(Debug, Clone)]
struct Known(Arc<Result<Visitor, Refused>>);

/// Asks the door, once. The outermost layer of everything but sockets, which ask for themselves: what opens a socket may be
/// good for one use.
pub(super) async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let visitor = app.door.who(request.headers(), request.uri().query()).await;
    request.extensions_mut().insert(Known(Arc::new(visitor)));
    next.run(request).await
}

/// What the door said.
pub(super) fn visitor(extensions: &Extensions) -> Result<&Visitor, Refused> {
    // A route without the layer lets nobody in.
    let known = extensions.get::<Known>().ok_or(Refused::Missing)?;
    known.0.as_ref().as_ref().map_err(|refused| *refused)
}

impl Door {
    /// A door for these keys, separated by blanks. None: everybody is welcome.
    pub fn new(keys: &SecretString, query: bool) -> Self {
        let keys: Vec<Hash> = keys.expose_secret().split_whitespace().map(digest).collect();
        Self { is_locked: !keys.is_empty(), keys, query, secrets: Secrets::default() }
    }

    /// Whether anything has to be shown.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Who sent this request.
    pub(super) async fn who(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Visitor, Refused> {
        let in_address = key_in_query(query);
        if in_address.is_some() && !self.query {
            return Err(Refused::InAddress);
        }
        match key_in_headers(headers).or(in_address.as_deref()) {
            Some(key) if key.starts_with(super::secrets::PREFIX) => self.secrets.open(key).ok_or(Refused::Wrong),
            // Clients of OpenAI's libraries must send something: without keys it is not looked at.
            _ if !self.is_locked => Ok(Principal::anybody().into()),
            Some(key) => self.configured(key).map(Visitor::from).ok_or(Refused::Wrong),
            None => Err(Refused::Missing),
        }
    }

    /// The holder of a configured key. Compares with every one, whichever fits.
    fn configured(&self, key: &str) -> Option<Principal> {
        let shown = digest(key);
        let is_known = self.keys.iter().fold(false, |known, key| known | (*key == shown));
        is_known.then(|| Principal::of_configured_key(&shown))
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Door({} keys)", self.keys.len())
    }
}

pub(super) fn digest(key: &str) -> Hash {
    Sha256::digest(key.as_bytes()).into()
}

/// The key of a request: a bearer token, Azure's header, or one of the subprotocols that browsers can offer.
fn key_in_headers(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let azure = || headers.get("api-key").and_then(|value| value.to_str().ok()).map(str::trim);
    let offered = || {
        let key = |name| SUBPROTOCOLS.iter().find_map(|prefix| str::strip_prefix(name, prefix));
        socket::offered(headers).find_map(key)
    };
    bearer.or_else(azure).or_else(offered).filter(|key| !key.is_empty())
}

fn key_in_query(query: Option<&str>) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Keys {
        #[serde(alias = "api-key")]
        api_key: Option<String>,
        #[serde(alias = "Authorization")]
        authorization: Option<String>,
    }
    let uri = format!("/?{}", query?).parse().ok()?;
    let axum::extract::Query(keys) = axum::extract::Query::<Keys>::try_from_uri(&uri).ok()?;
    let bearer = |value: String| value.strip_prefix("Bearer ").map_or(value.clone(), str::to_owned);
    keys.api_key.or_else(|| keys.authorization.map(bearer))
}

/// Subprotocols behind which a browser, which can set no header, hides its key: OpenAI's and ours. Never selected.
const SUBPROTOCOLS: [&str; 2] = ["openai-insecure-api-key.", AUTH_SUBPROTOCOL_PREFIX];

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_str(value).unwrap())])
    }

    fn door(keys: &str) -> Door {
        Door::new(&SecretString::from(keys), false)
    }

    async fn who(door: &Door, name: &'static str, value: &str) -> Result<Visitor, Refused> {
        door.who(&with(name, value), None).await
    }

    #[tokio::test]
    async fn a_key_is_found_wherever_clients_put_it() {
        let door = door("old new");
        for (name, value) in [
            ("authorization", "Bearer new"),
            ("authorization", "bearer old"),
            ("api-key", "new"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.new, openai-agents-sdk.0.20"),
            ("sec-websocket-protocol", "floe.v1,floe.auth.old"),
        ] {
            let visitor = who(&door, name, value).await.expect("it is one of ours");
            assert!(visitor.principal.credential.id.starts_with("configured_"), "{name}: {value}");
        }
        for (name, value) in [("authorization", "Bearer ne"), ("authorization", "Basic new"), ("api-key", "newer")] {
            assert!(who(&door, name, value).await.is_err(), "{name}: {value}");
        }
        assert_eq!(door.who(&HeaderMap::new(), None).await.unwrap_err(), Refused::Missing);
    }

    #[tokio::test]
    async fn a_key_in_the_address_is_refused_unless_allowed() {
        let shut = door("right");
        let asked = shut.who(&HeaderMap::new(), Some("model=x&api_key=right")).await;
        assert_eq!(asked.unwrap_err(), Refused::InAddress);
        let lax = Door::new(&SecretString::from("right"), true);
        assert!(lax.who(&HeaderMap::new(), Some("model=x&api-key=right")).await.is_ok());
        assert_eq!(lax.who(&HeaderMap::new(), Some("api_key=wrong")).await.unwrap_err(), Refused::Wrong);
    }

    #[tokio::test]
    async fn without_keys_everybody_is_welcome_but_not_with_a_dead_secret() {
        let open = door("  ");
        assert!(open.who(&HeaderMap::new(), None).await.unwrap().principal.is_anybody());
        assert!(who(&open, "authorization", "Bearer whatever").await.unwrap().principal.is_anybody());
        assert_eq!(who(&open, "authorization", "Bearer ek_gone").await.unwrap_err(), Refused::Wrong);
    }

    #[test]
    fn nothing_shows_a_key() {
        assert!(!format!("{:?}", door("topsecret")).contains("topsecret"));
    }
}
