//! The door: finds what a request shows, and says who sent it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Extensions, HeaderMap, Method, header},
    middleware::Next,
    response::Response,
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{App, login, secrets, socket};
use crate::{
    auth::{Identities, Live, Principal, oidc},
    protocol::native::wire::AUTH_SUBPROTOCOL_PREFIX,
    store::shared::Shared,
};

/// The door: one function says who somebody is.
pub struct Door {
    /// Whether anything has to be shown.
    pub is_locked: bool,
    /// The configured keys.
    pub keys: Configured,
    /// Whether a key may stand in the address.
    pub query: bool,
    /// Where tickets and client secrets lie.
    pub shared: Shared,
    /// API keys and logins, if there is a database.
    pub identities: Option<Identities>,
    /// The operator's identity provider, if there is one.
    pub provider: Option<oidc::Provider>,
    /// Who talks with what.
    pub live: Live,
}

/// Keys of the configuration, by their digests. The keys themselves are kept nowhere.
pub struct Configured(Vec<Hash>);

/// What is compared: digests, so that the time a comparison takes says nothing about a key.
pub(super) type Hash = [u8; 32];

/// Somebody who may come in.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who it is.
    pub(super) principal: Principal,
    /// What a client secret is bound to, if that is what was shown.
    pub(super) bound: Option<secrets::Bound>,
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
    /// It is none of ours, was revoked, or has expired. All of them look the same.
    #[error("Incorrect API key, ticket or token provided, or one that has expired or was revoked.")]
    Wrong,
    /// It stood in the address.
    #[error(
        "Keys are not read from the address, where they end up in logs. Send \"Authorization: Bearer KEY\", or the \
         WebSocket subprotocol openai-insecure-api-key.KEY; server.query_keys allows it."
    )]
    InAddress,
    /// A login's cookie came along with what another page sent.
    #[error("A login is good for this server's own pages. Other pages and programs need a key.")]
    CrossSite,
    /// The identity provider knows this user, and the mapping of roles lets nobody in of this kind.
    #[error("The identity provider knows you, but does not let you in here.")]
    NotAllowed,
    /// Nobody can say at the moment.
    #[error("Keys cannot be checked at the moment. Try again.")]
    Unavailable,
}

/// What the door said of a request, for everything behind it.
#[derive(Debug, Clone)]
struct Known(Arc<Result<Visitor, Refused>>);

/// Asks the door, once. The outermost layer of everything but sockets, which ask for themselves: what opens a socket may be
/// good for one use.
pub(super) async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let visitor = app.door.who(request.headers(), request.uri().query(), request.method()).await;
    request.extensions_mut().insert(Known(Arc::new(visitor)));
    next.run(request).await
}

/// What the door said.
pub(super) fn visitor(extensions: &Extensions) -> Result<&Visitor, Refused> {
    // A route without the layer lets nobody in.
    let known = extensions.get::<Known>().ok_or(Refused::Missing)?;
    known.0.as_ref().as_ref().map_err(|refused| *refused)
}

impl Configured {
    /// These keys, separated by blanks.
    pub fn new(keys: &SecretString) -> Self {
        Self(keys.expose_secret().split_whitespace().map(digest).collect())
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The holder of one of them. Compares with every one, whichever fits.
    fn holder(&self, key: &str) -> Option<Principal> {
        let shown = digest(key);
        let is_known = self.0.iter().fold(false, |known, key| known | (*key == shown));
        is_known.then(|| Principal::of_configured_key(&shown))
    }
}

impl Door {
    /// Who sent this request, which is none for a socket.
    pub(super) async fn who(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        method: &Method,
    ) -> Result<Visitor, Refused> {
        let in_address = key_in_query(query);
        match self.shown(headers, in_address.as_deref())? {
            // A ticket opens a socket, and is not spent on anything else.
            Some(key) if key.starts_with(secrets::TICKET) => Err(Refused::Wrong),
            Some(key) => self.holder(key).await,
            None => match self.browser(headers, method).await? {
                Some(principal) => Ok(principal.into()),
                None if self.is_locked => Err(Refused::Missing),
                None => Ok(Principal::anybody().into()),
            },
        }
    }

    /// Who opens a socket. Logins do not: a page of anybody's could open one in its visitor's name.
    pub(super) async fn who_talks(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Visitor, Refused> {
        let in_address = key_in_query(query);
        match self.shown(headers, in_address.as_deref())? {
            Some(key) if key.starts_with(secrets::TICKET) => self.take_ticket(key, headers).await,
            Some(key) => self.holder(key).await,
            None if self.is_locked => Err(Refused::Missing),
            None => Ok(Principal::anybody().into()),
        }
    }

    fn shown<'a>(&self, headers: &'a HeaderMap, in_address: Option<&'a str>) -> Result<Option<&'a str>, Refused> {
        if in_address.is_some() && !self.query {
            return Err(Refused::InAddress);
        }
        Ok(key_in_headers(headers).or(in_address))
    }

    async fn holder(&self, key: &str) -> Result<Visitor, Refused> {
        if key.starts_with(secrets::PREFIX) {
            return self.open_secret(key).await;
        }
        if !self.is_locked {
            // Clients of OpenAI's libraries must send something: where nothing is needed it is not looked at.
            return Ok(Principal::anybody().into());
        }
        match &self.provider {
            Some(provider) if provider.may_have_made(key) => self.token_holder(provider, key).await,
            _ => self.key_holder(key).await.map(Visitor::from),
        }
    }

    async fn token_holder(&self, provider: &oidc::Provider, token: &str) -> Result<Visitor, Refused> {
        let principal = provider.token_holder(token).await.map_err(|trouble| {
            // What was wrong with a token is for the operator; whoever sent it learns that it was.
            tracing::debug!(%trouble, "a token is refused");
            match trouble {
                oidc::Trouble::Wrong(_) => Refused::Wrong,
                oidc::Trouble::NotAllowed => Refused::NotAllowed,
                oidc::Trouble::Away(_) => Refused::Unavailable,
            }
        })?;
        self.unless_revoked(principal.into()).await
    }

    /// A browser that is logged in, if this request comes from one of our own pages.
    async fn browser(&self, headers: &HeaderMap, method: &Method) -> Result<Option<Principal>, Refused> {
        let Some(identities) = self.identities.as_ref().filter(|_| self.is_locked) else { return Ok(None) };
        let Some(cookie) = login::cookie(headers, login::SESSION) else { return Ok(None) };
        let holder = identities.login_holder(&cookie).await.map_err(|_| Refused::Unavailable)?;
        let Some(principal) = holder else { return Err(Refused::Wrong) };
        if !method.is_safe() && !login::is_same_site(headers) {
            return Err(Refused::CrossSite);
        }
        Ok(Some(principal))
    }

    /// The same visitor, unless what was shown, or anything it was made with, was revoked.
    pub(super) async fn unless_revoked(&self, visitor: Visitor) -> Result<Visitor, Refused> {
        match &self.identities {
            Some(identities) if identities.is_revoked(&visitor.principal).await => Err(Refused::Wrong),
            _ => Ok(visitor),
        }
    }
}

impl Door {
    /// Whose API key this is, configured or made.
    pub(super) async fn key_holder(&self, key: &str) -> Result<Principal, Refused> {
        match (self.keys.holder(key), &self.identities) {
            (Some(principal), _) => Ok(principal),
            (None, Some(identities)) => {
                identities.key_holder(key).await.map_err(|_| Refused::Unavailable)?.ok_or(Refused::Wrong)
            }
            (None, None) => Err(Refused::Wrong),
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Door({} configured keys)", self.keys.0.len())
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
pub(super) mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_str(value).unwrap())])
    }

    /// A door that knows these keys and nothing else.
    pub(in crate::http) fn door(keys: &str) -> Door {
        let keys = Configured::new(&SecretString::from(keys));
        Door {
            is_locked: !keys.is_empty(),
            keys,
            query: false,
            shared: Shared::alone(&crate::store::shared::Config::default()),
            identities: None,
            provider: None,
            live: Live::default(),
        }
    }

    async fn who(door: &Door, name: &'static str, value: &str) -> Result<Visitor, Refused> {
        door.who(&with(name, value), None, &Method::GET).await
    }

    async fn nobody(door: &Door, query: Option<&str>) -> Result<Visitor, Refused> {
        door.who(&HeaderMap::new(), query, &Method::GET).await
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
            assert!(door.who_talks(&with(name, value), None).await.is_ok(), "{name}: {value}");
        }
        for (name, value) in [("authorization", "Bearer ne"), ("authorization", "Basic new"), ("api-key", "newer")] {
            assert!(who(&door, name, value).await.is_err(), "{name}: {value}");
        }
        assert_eq!(nobody(&door, None).await.unwrap_err(), Refused::Missing);
    }

    #[tokio::test]
    async fn a_key_in_the_address_is_refused_unless_allowed() {
        let shut = door("right");
        assert_eq!(nobody(&shut, Some("model=x&api_key=right")).await.unwrap_err(), Refused::InAddress);
        let lax = Door { query: true, ..door("right") };
        assert!(nobody(&lax, Some("model=x&api-key=right")).await.is_ok());
        assert_eq!(nobody(&lax, Some("api_key=wrong")).await.unwrap_err(), Refused::Wrong);
    }

    #[tokio::test]
    async fn without_keys_everybody_is_welcome_but_not_with_a_dead_secret() {
        let open = door("  ");
        assert!(nobody(&open, None).await.unwrap().principal.is_anybody());
        assert!(who(&open, "authorization", "Bearer whatever").await.unwrap().principal.is_anybody());
        for dead in ["Bearer ek_gone", "Bearer ft_gone"] {
            assert_eq!(who(&open, "authorization", dead).await.unwrap_err(), Refused::Wrong);
            assert_eq!(open.who_talks(&with("authorization", dead), None).await.unwrap_err(), Refused::Wrong);
        }
    }

    #[tokio::test]
    async fn a_ticket_is_not_spent_on_what_it_does_not_open() {
        let door = door("key");
        let (ticket, _) = door.make_ticket(Principal::anybody(), None).await;
        let shown = format!("Bearer {ticket}");
        assert_eq!(who(&door, "authorization", &shown).await.unwrap_err(), Refused::Wrong);
        assert!(door.who_talks(&with("authorization", &shown), None).await.is_ok());
        assert_eq!(door.who_talks(&with("authorization", &shown), None).await.unwrap_err(), Refused::Wrong);
    }

    #[test]
    fn nothing_shows_a_key() {
        assert!(!format!("{:?}", door("topsecret")).contains("topsecret"));
    }
}
