//! Who may come in: keys of the configuration, and the short-lived secrets made with them.

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{
    secrets::{Bound, Secrets},
    socket,
};
use crate::protocol::native::wire::AUTH_SUBPROTOCOL_PREFIX;

/// The door: one function says who somebody is.
pub struct Door {
    /// Digests of the keys. The keys themselves are kept nowhere.
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
pub(super) enum Caller {
    /// No keys are configured, and everybody is welcome.
    Anybody,
    /// The holder of a key.
    Key,
    /// The holder of a client secret, and what is bound to it.
    Secret(Bound),
}

/// Somebody who may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// There was no key.
    #[error("You didn't provide an API key. Send it as \"Authorization: Bearer KEY\".")]
    Missing,
    /// It is none of ours, or has expired.
    #[error("Incorrect API key provided, or an expired client secret.")]
    Wrong,
    /// It stood in the address.
    #[error(
        "Keys are not read from the address, where they end up in logs. Send \"Authorization: Bearer KEY\", or the \
         WebSocket subprotocol openai-insecure-api-key.KEY; server.query_keys allows it."
    )]
    InAddress,
}

impl Door {
    /// A door for these keys, separated by blanks. None: everybody is welcome.
    pub fn new(keys: &SecretString, query: bool) -> Self {
        let keys = keys.expose_secret().split_whitespace().map(digest).collect();
        Self { keys, query, secrets: Secrets::default() }
    }

    /// Whether a key is needed.
    pub fn is_locked(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Who sent this request. Every route that does anything asks here and nowhere else.
    pub(super) fn who(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Caller, Refused> {
        let in_address = key_in_query(query);
        if in_address.is_some() && !self.query {
            return Err(Refused::InAddress);
        }
        match key_in_headers(headers).or(in_address.as_deref()) {
            Some(key) if key.starts_with(super::secrets::PREFIX) => {
                self.secrets.open(key).map(Caller::Secret).ok_or(Refused::Wrong)
            }
            // Clients of OpenAI's libraries must send something: without keys it is not looked at.
            _ if !self.is_locked() => Ok(Caller::Anybody),
            Some(key) if self.knows(key) => Ok(Caller::Key),
            Some(_) => Err(Refused::Wrong),
            None => Err(Refused::Missing),
        }
    }

    /// By what a caller is told apart from others: the digest of a key or secret that is good here. None for those who need to
    /// show none, and for those who are not let in.
    pub(super) fn identity(&self, headers: &HeaderMap, query: Option<&str>) -> Option<Hash> {
        match self.who(headers, query).ok()? {
            Caller::Anybody => None,
            Caller::Key | Caller::Secret(_) => {
                key_in_headers(headers).map(digest).or_else(|| key_in_query(query).as_deref().map(digest))
            }
        }
    }

    /// Compares with every key, whichever fits.
    fn knows(&self, key: &str) -> bool {
        let shown = digest(key);
        self.keys.iter().fold(false, |known, key| known | (*key == shown))
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

    #[test]
    fn a_key_is_found_wherever_clients_put_it() {
        let door = door("old new");
        for (name, value) in [
            ("authorization", "Bearer new"),
            ("authorization", "bearer old"),
            ("api-key", "new"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.new, openai-agents-sdk.0.20"),
            ("sec-websocket-protocol", "floe.v1,floe.auth.old"),
        ] {
            assert!(matches!(door.who(&with(name, value), None), Ok(Caller::Key)), "{name}: {value}");
        }
        for (name, value) in [("authorization", "Bearer ne"), ("authorization", "Basic new"), ("api-key", "newer")] {
            assert!(door.who(&with(name, value), None).is_err(), "{name}: {value}");
        }
        assert_eq!(door.who(&HeaderMap::new(), None).unwrap_err(), Refused::Missing);
    }

    #[test]
    fn a_key_in_the_address_is_refused_unless_allowed() {
        let shut = door("right");
        assert_eq!(shut.who(&HeaderMap::new(), Some("model=x&api_key=right")).unwrap_err(), Refused::InAddress);
        let lax = Door::new(&SecretString::from("right"), true);
        assert!(lax.who(&HeaderMap::new(), Some("model=x&api-key=right")).is_ok());
        assert_eq!(lax.who(&HeaderMap::new(), Some("api_key=wrong")).unwrap_err(), Refused::Wrong);
    }

    #[test]
    fn without_keys_everybody_is_welcome_but_not_with_a_dead_secret() {
        let open = door("  ");
        assert!(matches!(open.who(&HeaderMap::new(), None), Ok(Caller::Anybody)));
        assert!(matches!(open.who(&with("authorization", "Bearer whatever"), None), Ok(Caller::Anybody)));
        assert_eq!(open.who(&with("authorization", "Bearer ek_gone"), None).unwrap_err(), Refused::Wrong);
    }

    #[test]
    fn nothing_shows_a_key() {
        assert!(!format!("{:?}", door("topsecret")).contains("topsecret"));
    }
}
