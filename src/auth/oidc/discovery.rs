//! What the provider says of itself: its addresses, and the keys with which it signs.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, PoisonError},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{Provider, Trouble};

/// Its document, and its keys.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) document: Document,
    keys: Vec<Jwk>,
    asked_at: Instant,
}

/// What is needed of `/.well-known/openid-configuration`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Document {
    issuer: String,
    jwks_uri: Url,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    #[serde(default)]
    pub(super) end_session_endpoint: Option<Url>,
}

/// Keys, each by itself: one of a kind that nobody knows does not spoil the others.
#[derive(Deserialize)]
struct Keys {
    keys: Vec<serde_json::Value>,
}

impl Known {
    /// The key that a token's head names, if it is one for this algorithm.
    pub(super) fn key(&self, header: &Header) -> Option<&Jwk> {
        let mut fitting = self.keys.iter().filter(|key| fits(key, header.alg));
        match &header.kid {
            Some(kid) => fitting.find(|key| key.common.key_id.as_ref() == Some(kid)),
            // A token without a name for its key is clear only if there is one.
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

/// Whether a key is for signatures by this algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let is_for_this = key.common.key_algorithm.is_none_or(|named| {
        // Both write their names alike.
        named.to_string() == format!("{algorithm:?}")
    });
    let is_of_its_kind = match (&key.algorithm, algorithm) {
        (
            AlgorithmParameters::RSA(_),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    is_for_signatures && is_for_this && is_of_its_kind
}

impl Provider {
    /// What the provider says of itself, if that will do: `will_do` looks for a key in it. Asks again if it will not, or is
    /// old; at most every [`PAUSE`], whatever strangers send.
    pub(super) async fn known(&self, will_do: impl Fn(&Known) -> bool) -> Result<Arc<Known>, Trouble> {
        let remembered = || self.inner.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_good = |known: &Arc<Known>| known.asked_at.elapsed() < FRESH && will_do(known);
        if let Some(known) = remembered().filter(is_good) {
            return Ok(known);
        }
        let mut asked_at = self.inner.asking.lock().await;
        // Somebody else may have asked meanwhile.
        let before = remembered();
        if let Some(known) = before.clone().filter(is_good) {
            return Ok(known);
        }
        if asked_at.is_none_or(|at| at.elapsed() >= PAUSE) {
            *asked_at = Some(now());
            match self.ask().await {
                Ok(known) => {
                    let known = Arc::new(known);
                    *self.inner.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&known));
                    return Ok(known);
                }
                Err(trouble) => tracing::warn!(%trouble, "the identity provider's keys cannot be read"),
            }
        }
        // Old keys are believed for a while: a provider that is away has changed none.
        before.filter(|known| known.asked_at.elapsed() < WHILE_AWAY).ok_or(Trouble::Away("does not answer"))
    }

    async fn ask(&self) -> Result<Known, Trouble> {
        let issuer = &self.inner.config.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let address = Url::parse(&address).map_err(|_| Trouble::Away("has no address"))?;
        let document: Document = self.get(address).await?;
        if document.issuer != *issuer {
            return Err(Trouble::Away("is another than auth.oidc.issuer says"));
        }
        let addresses = [&document.jwks_uri, &document.authorization_endpoint, &document.token_endpoint];
        if !addresses.into_iter().chain(&document.end_session_endpoint).all(is_private) {
            return Err(Trouble::Away("names an address without TLS"));
        }
        let Keys { keys } = self.get(document.jwks_uri.clone()).await?;
        let keys: Vec<Jwk> = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        Ok(Known { document, keys, asked_at: now() })
    }

    async fn get<T: DeserializeOwned>(&self, address: Url) -> Result<T, Trouble> {
        let request = self.inner.http.get(address).header("accept", "application/json");
        let (status, body) = read(request).await?;
        if status != 200 {
            return Err(Trouble::Away("answers with an error"));
        }
        serde_json::from_slice(&body).map_err(|_| Trouble::Away("answers with something that is no JSON of its kind"))
    }
}

/// Sends a request, and reads at most [`BYTES_MAX`] of its answer, within the client's timeout.
pub(super) async fn read(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), Trouble> {
    let away = |_| Trouble::Away("does not answer");
    let mut response = request.send().await.map_err(away)?;
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(away)? {
        if body.len() + bytes.len() > BYTES_MAX {
            return Err(Trouble::Away("answers with too much"));
        }
        body.extend_from_slice(&bytes);
    }
    Ok((response.status().as_u16(), body))
}

/// Whether nobody on the way can listen: TLS, or this machine.
pub(super) fn is_private(url: &Url) -> bool {
    let is_here = match url.host_str().unwrap_or_default().trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse::<IpAddr>().is_ok_and(|ip| {
            ip.is_loopback() || ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
        }),
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

#[expect(clippy::disallowed_methods, reason = "how old keys are")]
fn now() -> Instant {
    Instant::now()
}

/// How long keys are believed without asking again.
const FRESH: Duration = Duration::from_secs(600);

/// How long they are believed while the provider does not answer.
const WHILE_AWAY: Duration = Duration::from_secs(86_400);

/// The shortest time between two questions: a token that names an unknown key costs the provider no more.
const PAUSE: Duration = Duration::from_secs(3);

/// Bytes of one answer.
const BYTES_MAX: usize = 256 * 1024;
