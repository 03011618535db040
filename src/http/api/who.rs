//! What the routes of the API ask of whoever asks.

use axum::extract::Extension;

use super::{App, Problem};
use crate::auth::{Principal, Role};

/// Whoever asks, as a parameter of a route. Put into every request by [`super::guard`].
pub(super) type Asking = Extension<Principal>;

/// What is asked of them.
pub(super) trait Asks {
    /// Refuses whoever is no admin.
    fn admin(&self) -> Result<(), Problem>;

    /// Notes what they do. Nobody reads what cannot be noted.
    fn note(&self, app: &App, action: &str, subject: impl std::fmt::Display) -> Result<(), Problem>;
}

impl Asks for Principal {
    fn admin(&self) -> Result<(), Problem> {
        if self.role == Role::Admin { Ok(()) } else { Err(Problem::forbidden("Only an admin may do that.")) }
    }

    fn note(&self, app: &App, action: &str, subject: impl std::fmt::Display) -> Result<(), Problem> {
        let Some(kept) = &app.kept else { return Ok(()) };
        let name = match &self.user {
            Some(user) => user,
            None if self.is_anybody() => "anybody",
            None => &self.credential.id,
        };
        kept.trail.note(&self.tenant, name, action, &subject.to_string()).map_err(|_| Problem::unnoted())
    }
}
