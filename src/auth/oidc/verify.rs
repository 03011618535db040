//! Access tokens and ID tokens: whether the provider made them, for us, and not too long ago.

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use sha2::{Digest as _, Sha256};

use super::{
    Provider, Trouble,
    claims::{self, Claims, Who},
};
use crate::auth::{Credential, Principal};

impl Provider {
    /// Whose access token this is.
    pub async fn token_holder(&self, token: &str) -> Result<Principal, Trouble> {
        let claims = self.claims(token, &self.inner.audience).await?;
        let Who { tenant, user, role } = claims::who(&self.inner.config, &claims)?;
        let leeway_s = i64::try_from(self.inner.config.leeway_s).unwrap_or(i64::MAX);
        let ends_s = claims.get("exp").and_then(serde_json::Value::as_f64).unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a time of day within what a token may say; beyond that it saturates"
        )]
        let expires_at_ms = (ends_s as i64).saturating_add(leeway_s).saturating_mul(1_000);
        let digest = Sha256::digest(token.as_bytes());
        let id = digest.iter().take(16).fold(String::from("token_"), |id, byte| format!("{id}{byte:02x}"));
        let credential = Credential { id, expires_at_ms: Some(expires_at_ms), ..Credential::default() };
        Ok(Principal { tenant, user: Some(user), role, scopes: role.scopes(), credential })
    }

    /// The claims of a token that the provider made for one of these audiences.
    pub(super) async fn claims(&self, token: &str, audience: &[String]) -> Result<Claims, Trouble> {
        if token.len() > TOKEN_BYTES_MAX || audience.is_empty() {
            return Err(Trouble::Wrong("the token is too long, or none is expected"));
        }
        let header = decode_header(token).map_err(|_| Trouble::Wrong("that is no token"))?;
        // What a token says of itself decides nothing: neither an algorithm that is not listed, nor extensions that nobody here
        // knows, nor a key that it brings along (`jku`, `jwk` and `x5c` are not looked at).
        if !self.inner.algorithms.contains(&header.alg) || header.crit.is_some() {
            return Err(Trouble::Wrong("the token is signed in a way that is not accepted"));
        }
        if header.typ.as_deref().is_some_and(|typ| !TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known))) {
            return Err(Trouble::Wrong("the token is for something else"));
        }
        let known = self.known(|known| known.key(&header).is_some()).await?;
        let key = known.key(&header).ok_or(Trouble::Wrong("the provider has no such key"))?;
        let key = DecodingKey::from_jwk(key).map_err(|_| Trouble::Wrong("the provider's key cannot be used"))?;
        let mut rules = Validation::new(header.alg);
        rules.leeway = self.inner.config.leeway_s;
        rules.validate_nbf = true;
        rules.set_issuer(&[&self.inner.config.issuer]);
        rules.set_audience(audience);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let decoded = decode::<Claims>(token, &key, &rules);
        decoded.map(|token| token.claims).map_err(|_| Trouble::Wrong("the token has expired, or is not for here"))
    }
}

/// Longest token: a request's head has no more.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What a token may say that it is: a JWT, or an access token (RFC 9068).
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];
