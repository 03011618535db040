//! Who may come in, and what that allows: principals, API keys, tickets, logins, the operator's identity provider.
//!
//! Knows nothing of HTTP servers: `http::auth`, the door, finds what a request shows and asks here.

mod principal;

pub use principal::{Credential, DEFAULT_TENANT, NAME_BYTES_MAX, Principal, Role, Scopes, UnknownWord};
