//! Logins of browsers: there, back with a code, and what the code is worth.

use oauth2::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
        BasicTokenType,
    },
};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    Provider, Trouble,
    claims::{self, Claims, Who},
    discovery::read,
};
use crate::auth::{
    identities::now_ms,
    secret::{DIGITS, token},
};

/// A login that is under way: what its browser holds until it comes back.
#[derive(Serialize, Deserialize)]
pub struct Attempt {
    state: String,
    nonce: String,
    verifier: String,
    /// Where to go then: a path of ours.
    pub return_to: String,
    /// Milliseconds since 1970.
    ends_at_ms: i64,
}

/// Neither of the secrets.
impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("ends_at_ms", &self.ends_at_ms).finish_non_exhaustive()
    }
}

/// How long a login may take there, in seconds.
pub const ATTEMPT_S: i64 = 600;

/// With what a browser comes back.
#[derive(Debug, Default, Deserialize)]
pub struct Returned {
    code: Option<String>,
    state: Option<String>,
    /// RFC 9207: which provider sent it.
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// What became of a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// It is still the same user.
    Same {
        /// What that user may do now, if the provider said it.
        who: Option<Who>,
        /// The next refresh token, if there is another.
        token: Option<SecretString>,
        /// When to use it, in milliseconds since 1970.
        at_ms: i64,
    },
    /// The provider does not know that user any more.
    Gone,
    /// It did not answer.
    Unknown,
}

/// What a token endpoint says beside what OAuth defines.
#[derive(Debug, Serialize, Deserialize)]
struct IdToken {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdToken {}

type Tokens = StandardTokenResponse<IdToken, BasicTokenType>;

type Client = oauth2::Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl Provider {
    /// Begins a login: where the browser is to go, and what it keeps meanwhile.
    pub async fn begin_login(&self, return_to: String) -> Result<(Url, Attempt), Trouble> {
        let client = self.client().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (state, nonce) = (token("", DIGITS), token("", DIGITS));
        let scopes = self.inner.config.scopes.split_whitespace().map(|scope| Scope::new(scope.to_owned()));
        let said = state.clone();
        let mut asking = client
            .authorize_url(move || CsrfToken::new(said))
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .add_extra_param("nonce", &nonce);
        if self.inner.config.scopes.split_whitespace().any(|scope| scope == "offline_access") {
            // OpenID Connect Core 11: without it the scope is to be ignored.
            asking = asking.add_extra_param("prompt", "consent");
        }
        let (url, _state) = asking.url();
        let ends_at_ms = now_ms() + ATTEMPT_S * 1_000;
        Ok((url, Attempt { state, nonce, verifier: verifier.secret().clone(), return_to, ends_at_ms }))
    }

    /// Ends a login: who is back, and with which refresh token.
    pub async fn finish_login(
        &self,
        attempt: &Attempt,
        returned: Returned,
    ) -> Result<(Who, Option<(SecretString, i64)>), Trouble> {
        let is_ours = returned.state.as_deref().is_some_and(|state| is_same(state, &attempt.state));
        if !is_ours || attempt.ends_at_ms <= now_ms() {
            return Err(Trouble::Wrong("this login was not begun in this browser, or took too long"));
        }
        if returned.iss.is_some_and(|iss| iss != self.inner.config.issuer) {
            return Err(Trouble::Wrong("another identity provider has answered"));
        }
        if returned.error.is_some() {
            return Err(Trouble::NotAllowed);
        }
        let code = returned.code.ok_or(Trouble::Wrong("the identity provider sent no code"))?;
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let client = self.client().await?;
        let send = self.sender();
        let exchange = client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(verifier);
        let tokens = exchange.request_async(&send).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(_) => Trouble::Wrong("the identity provider does not know this login"),
            _ => Trouble::Away("does not answer"),
        })?;
        let id_token =
            tokens.extra_fields().id_token.as_deref().ok_or(Trouble::Wrong("the provider sent no ID token"))?;
        let claims = self.id_claims(id_token).await?;
        let nonce = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
        if !is_same(nonce, &attempt.nonce) {
            return Err(Trouble::Wrong("the ID token belongs to another login"));
        }
        let who = claims::who(&self.inner.config, &claims)?;
        Ok((who, next(&tokens)))
    }

    /// Asks whether a user is still known, with the login's refresh token.
    pub async fn refresh(&self, token: SecretString, user: Option<&str>) -> Refreshed {
        let Ok(client) = self.client().await else { return Refreshed::Unknown };
        let token = RefreshToken::new(token.expose_secret().to_owned());
        let send = self.sender();
        let tokens = match client.exchange_refresh_token(&token).request_async(&send).await {
            Ok(tokens) => tokens,
            Err(RequestTokenError::ServerResponse(said)) if *said.error() == BasicErrorResponseType::InvalidGrant => {
                return Refreshed::Gone;
            }
            Err(_) => return Refreshed::Unknown,
        };
        let who = match &tokens.extra_fields().id_token {
            None => None,
            Some(id_token) => {
                let said = self.id_claims(id_token).await.and_then(|claims| claims::who(&self.inner.config, &claims));
                match said {
                    Ok(who) if Some(who.user.as_str()) == user => Some(who),
                    Err(Trouble::Away(_)) => return Refreshed::Unknown,
                    Ok(_) | Err(_) => return Refreshed::Gone,
                }
            }
        };
        let at_ms = due_ms(&tokens);
        Refreshed::Same { who, token: next(&tokens).map(|(token, _)| token), at_ms }
    }

    /// Where a browser goes to log out there too, if there is such a place.
    pub async fn farewell(&self, back: &str) -> Option<Url> {
        let mut url = self.known(|_| true).await.ok()?.document.end_session_endpoint.clone()?;
        let here = self.inner.redirect.as_ref()?.join(back).ok()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.inner.config.client_id)
            .append_pair("post_logout_redirect_uri", here.as_str());
        Some(url)
    }

    /// The claims of an ID token for us.
    async fn id_claims(&self, id_token: &str) -> Result<Claims, Trouble> {
        let client_id = &self.inner.config.client_id;
        let claims = self.claims(id_token, std::slice::from_ref(client_id)).await?;
        let party = claims.get("azp").and_then(Value::as_str);
        let is_shared = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
        if party.is_some_and(|party| party != client_id) || (is_shared && party.is_none()) {
            return Err(Trouble::Wrong("the ID token is for another client"));
        }
        Ok(claims)
    }

    async fn client(&self) -> Result<Client, Trouble> {
        let redirect = self.inner.redirect.clone().ok_or(Trouble::Wrong("nobody logs in here"))?;
        let known = self.known(|_| true).await?;
        let document = &known.document;
        let config = &self.inner.config;
        let client = oauth2::Client::new(ClientId::new(config.client_id.clone()))
            .set_auth_uri(oauth2::AuthUrl::from_url(document.authorization_endpoint.clone()))
            .set_token_uri(oauth2::TokenUrl::from_url(document.token_endpoint.clone()))
            .set_redirect_uri(RedirectUrl::from_url(redirect));
        Ok(match config.client_secret.expose_secret() {
            "" => client,
            secret => client.set_client_secret(ClientSecret::new(secret.to_owned())),
        })
    }

    /// Sends what the OAuth crate has made, with our client and its limits.
    fn sender(&self) -> impl Fn(HttpRequest) -> Sending + Send + Sync + 'static {
        let http = self.inner.http.clone();
        move |request| Box::pin(send(http.clone(), request))
    }
}

/// A request on its way.
type Sending = std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, Trouble>> + Send>>;

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string()).map_err(|_| Trouble::Away("has no address"))?;
    let (status, body) = read(http.request(parts.method, url).headers(parts.headers).body(body)).await?;
    let response = http::Response::builder().status(status).header("content-type", "application/json").body(body);
    response.map_err(|_| Trouble::Away("answers with nonsense"))
}

/// The refresh token of an answer, and when to use it.
fn next(tokens: &Tokens) -> Option<(SecretString, i64)> {
    let token = tokens.refresh_token()?.secret().clone();
    Some((SecretString::from(token), due_ms(tokens)))
}

/// When the provider is to be asked again: when the access token ends, of which nothing else is made.
fn due_ms(tokens: &Tokens) -> i64 {
    let seconds = tokens.expires_in().map_or(REFRESH_S_DEFAULT, |time| time.as_secs());
    now_ms() + i64::try_from(seconds.clamp(REFRESH_S_MIN, REFRESH_S_MAX)).unwrap_or_default() * 1_000
}

/// Compares by digests, in a time that says nothing about where two texts differ.
fn is_same(one: &str, other: &str) -> bool {
    Sha256::digest(one) == Sha256::digest(other)
}

const REFRESH_S_DEFAULT: u64 = 3_600;
const REFRESH_S_MIN: u64 = 5;
const REFRESH_S_MAX: u64 = 86_400;
