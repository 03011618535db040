//! The right to be here: it ends when the credential ends with which the client came.

use std::fmt;

use tokio_util::sync::CancellationToken;

/// What lets one client stay. Whoever made it is told when the session is over by its being dropped.
pub struct Pass {
    /// Cancelled when the right ends.
    pub ended: CancellationToken,
    /// What must live as long as the session.
    pub kept: Box<dyn Send + Sync>,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("has_ended", &self.ended.is_cancelled()).finish_non_exhaustive()
    }
}

/// When the right ends; never, where none is needed.
pub(crate) async fn ended(pass: &Option<Pass>) {
    match pass {
        Some(pass) => pass.ended.cancelled().await,
        None => std::future::pending().await,
    }
}

/// What the client is told.
pub(crate) const REASON: &str = "the key, ticket or login has expired or was revoked";
