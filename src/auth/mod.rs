//! Who may come in, and what that allows: principals, API keys, tickets, logins, the operator's identity provider.
//!
//! Knows nothing of HTTP servers: `http::auth`, the door, finds what a request shows and asks here. What is shown is compared by
//! keyed digests ([`ServerSecret`]); what talks is watched over ([`Live`]) and ended with its credential by one task ([`Keeper`]).

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

pub mod command;
mod identities;
mod keeper;
mod keys;
mod live;
mod logins;
pub mod oidc;
mod principal;
mod secret;

pub use identities::Identities;
pub use keeper::{Keeper, Running};
pub use keys::{NewKey, PREFIX as KEY_PREFIX, Shown};
pub use live::{Live, Vigil};
pub use logins::NewLogin;
pub use principal::{Credential, DEFAULT_TENANT, NAME_BYTES_MAX, Principal, Role, Scopes, UnknownWord};
pub use secret::{DIGITS, FILE as SECRET_FILE, ServerSecret, token};

/// Who may come in.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What callers show: `none` (nothing: everybody may do everything, on loopback only), `keys` (API keys, tickets, logins), or
    /// `auto` (`none` on loopback where neither `server.keys` nor `auth.oidc.issuer` is set, else `keys`). `FLOE_AUTH` sets it too.
    pub mode: Mode,
    /// The secret with which digests of keys are made, at least 32 characters; empty = the file `auth.secret` in `store.dir`, which is
    /// made at first use. Servers that share a database need the same one.
    #[schemars(with = "String", extend("writeOnly" = true))]
    pub secret: SecretString,
    /// Longest pause of a browser's login, in seconds; then it ends.
    pub login_idle_s: u64,
    /// Longest login of a browser, in seconds.
    pub login_max_s: u64,
    /// The operator's identity provider.
    pub oidc: oidc::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            secret: SecretString::default(),
            login_idle_s: 8 * 3_600,
            login_max_s: 24 * 3_600,
            oidc: oidc::Config::default(),
        }
    }
}

/// What callers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What is safe where the server listens.
    Auto,
    /// Nothing.
    None,
    /// A key, a ticket, a token or a login.
    Keys,
}

impl Config {
    /// Whether something has to be shown, for a server that has configured keys or not and listens on loopback alone or not.
    /// An error says that the configuration would let in everybody who can reach it.
    pub fn is_locked(&self, has_configured_keys: bool, is_loopback: bool) -> Result<bool, Error> {
        match self.mode {
            Mode::None if !is_loopback => Err(Error::OpenToOthers),
            Mode::None => Ok(false),
            Mode::Keys => Ok(true),
            Mode::Auto => Ok(has_configured_keys || self.oidc.is_set() || !is_loopback),
        }
    }
}

/// Why nobody can come in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Anybody could.
    #[error(
        "auth.mode is none, and this address can be reached from other machines: everybody could talk, and read and delete what was \
         said. Set auth.mode = \"keys\" (FLOE_AUTH=keys) and make a key with `floe keys create`, or listen on 127.0.0.1."
    )]
    OpenToOthers,
    /// A secret that can be guessed.
    #[error("auth.secret (FLOE_AUTH_SECRET) has fewer than 32 characters: make one with `openssl rand -hex 32`")]
    ShortSecret,
    /// Keys in this database were made with another.
    #[error(
        "auth.secret is not the one with which the keys in this database were made: no key would be recognised. Give every server \
         of this database the same auth.secret (FLOE_AUTH_SECRET), that of the first one (the file auth.secret in its store.dir)."
    )]
    OtherSecret,
    /// The operating system gives none.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
    /// The secret's file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// There is no database to keep keys in.
    #[error("store.engine is none: there is nowhere to keep API keys. Use server.keys, or another store.engine.")]
    NothingKept,
    /// The provider's settings make no sense.
    #[error("{0}")]
    Provider(&'static str),
    /// A key cannot be made like this.
    #[error("{0}")]
    Unfit(String),
}

/// The credentials cannot be looked up at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("credentials cannot be checked at the moment")]
pub struct Unavailable;

impl Config {
    /// Whether a secret is configured.
    pub fn has_secret(&self) -> bool {
        !self.secret.expose_secret().is_empty()
    }
}
