//! The operator's identity provider (OpenID Connect): its access tokens, and logins of browsers by authorization code with PKCE.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jsonwebtoken::Algorithm;
use secrecy::SecretString;
use serde::Deserialize;

use super::Error;

mod claims;
mod discovery;
mod login;
mod verify;

pub use claims::Who;
pub use login::{ATTEMPT_S, Attempt, Refreshed, Returned};

/// The operator's identity provider.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Its issuer, such as `https://id.example.org/realms/voice`, exactly as its tokens say it; empty = there is none.
    pub issuer: String,
    /// Audiences of access tokens that are accepted as bearer, separated by blanks; empty = none are.
    pub audience: String,
    /// What this server is called there, for logins of browsers; empty = nobody logs in by it.
    pub client_id: String,
    /// The client's secret; empty for a public client.
    #[schemars(with = "String", extend("writeOnly" = true))]
    pub client_secret: SecretString,
    /// Where it sends browsers back to: this server's `/login/callback`, such as `https://voice.example.org/login/callback`.
    pub redirect_url: String,
    /// Scopes that a login asks for, separated by blanks. With `offline_access` a login ends when the provider says so.
    pub scopes: String,
    /// Signature algorithms that are believed, separated by blanks: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA.
    pub algorithms: String,
    /// The claim that says what somebody may do, with dots for claims in claims, such as `realm_access.roles`; a list, or words with
    /// blanks between them.
    pub role_claim: String,
    /// Values of that claim that make an admin, separated by blanks.
    pub admin_values: String,
    /// Values of it that make a member, separated by blanks; empty = everybody whom the provider knows is one.
    pub member_values: String,
    /// The claim that says of which tenant somebody is; empty = everybody is of `default`.
    pub tenant_claim: String,
    /// How wrong clocks may be, in seconds.
    pub leeway_s: u64,
    /// Longest wait for the provider, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: String::new(),
            client_id: String::new(),
            client_secret: SecretString::default(),
            redirect_url: String::new(),
            scopes: "openid profile offline_access".into(),
            algorithms: "RS256 ES256 EdDSA".into(),
            role_claim: String::new(),
            admin_values: String::new(),
            member_values: String::new(),
            tenant_claim: String::new(),
            leeway_s: 30,
            timeout_ms: 5_000,
        }
    }
}

impl Config {
    /// Whether there is a provider.
    pub fn is_set(&self) -> bool {
        !self.issuer.is_empty()
    }
}

/// The provider. Cheap to clone. Connects when it is first used, so one that is away is no error.
#[derive(Debug, Clone)]
pub struct Provider {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    algorithms: Vec<Algorithm>,
    audience: Vec<String>,
    redirect: Option<reqwest::Url>,
    http: reqwest::Client,
    /// What it said of itself when it was last asked.
    known: Mutex<Option<Arc<discovery::Known>>>,
    /// One asks at a time; those who know a key already do not wait for that.
    asking: tokio::sync::Mutex<Option<tokio::time::Instant>>,
}

/// Why a token or a login is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It is wrong, and stays wrong.
    #[error("{0}")]
    Wrong(&'static str),
    /// It is right, and may not come in.
    #[error("the identity provider knows you, but does not let you in here")]
    NotAllowed,
    /// The provider did not answer, or with nonsense.
    #[error("the identity provider {0}")]
    Away(&'static str),
}

impl Provider {
    /// The provider of this configuration; `None` if there is none. An error says what is wrong with the settings.
    pub fn new(config: &Config) -> Result<Option<Self>, Error> {
        if !config.is_set() {
            return Ok(None);
        }
        // Fails only if another was installed first, which then serves as well.
        let _installed = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        let known = |word: &str| word.parse().ok().filter(|algorithm| ASYMMETRIC.contains(algorithm));
        let algorithms: Option<Vec<Algorithm>> = config.algorithms.split_whitespace().map(known).collect();
        let algorithms = algorithms.filter(|all| !all.is_empty()).ok_or(Error::Provider(
            "auth.oidc.algorithms names RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA: with others the provider \
             could be impersonated by whoever knows its public key",
        ))?;
        let issuer = reqwest::Url::parse(&config.issuer).ok().filter(discovery::is_private);
        issuer.ok_or(Error::Provider(
            "auth.oidc.issuer is an address that begins with https:// (http:// is for loopback alone)",
        ))?;
        let redirect = match (config.client_id.as_str(), config.redirect_url.as_str()) {
            ("", _) => None,
            (_, url) => Some(reqwest::Url::parse(url).ok().filter(discovery::is_private).ok_or(Error::Provider(
                "auth.oidc.client_id also needs auth.oidc.redirect_url: this server's /login/callback as browsers reach it, with \
                 https:// (http:// is for loopback alone)",
            ))?),
        };
        let timeout = Duration::from_millis(config.timeout_ms.max(1));
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            // Asked seldom: a connection that was kept may be closed by the other side just as it is used, and a refresh token that
            // went out on it is spent.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|_| Error::Provider("no HTTP client can be made for the identity provider"))?;
        Ok(Some(Self {
            inner: Arc::new(Inner {
                algorithms,
                audience: config.audience.split_whitespace().map(str::to_owned).collect(),
                redirect,
                http,
                known: Mutex::default(),
                asking: tokio::sync::Mutex::default(),
                config: config.clone(),
            }),
        }))
    }

    /// Whether browsers log in by it.
    pub fn has_login(&self) -> bool {
        self.inner.redirect.is_some()
    }

    /// Whether this could be one of its access tokens: three parts with dots between them.
    pub fn may_have_made(&self, token: &str) -> bool {
        !self.inner.audience.is_empty() && token.split('.').count() == 3
    }
}

/// Algorithms whose public key makes no signatures.
const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
