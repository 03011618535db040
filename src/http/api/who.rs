//! Who asks, as far as the routes of the API care. The one place where that is decided.

use axum::extract::Extension;

use super::{App, Problem};
use crate::http::{TENANT, auth::Caller};

/// Whoever asks. Put into every request by [`super::guard`].
#[derive(Debug, Clone)]
pub(in crate::http) struct Who {
    /// Whose things they see.
    pub(in crate::http) tenant: String,
    /// What the audit trail calls them.
    pub(in crate::http) name: String,
    /// Whether they may see and do what belongs to the whole tenant.
    pub(in crate::http) is_admin: bool,
}

/// The same as a parameter of a route.
pub(super) type Asking = Extension<Who>;

impl Who {
    /// Until there are logins, whoever is let in is an admin of the one tenant.
    pub(super) fn of(caller: &Caller) -> Self {
        let name = match caller {
            Caller::Anybody => "anybody",
            Caller::Key => "key",
            Caller::Secret(_) => "secret",
        };
        let is_admin = !matches!(caller, Caller::Secret(_));
        Self { tenant: TENANT.to_owned(), name: name.to_owned(), is_admin }
    }

    /// Refuses whoever is no admin.
    pub(super) fn admin(&self) -> Result<(), Problem> {
        if self.is_admin { Ok(()) } else { Err(Problem::forbidden("Only an admin may do that.")) }
    }

    /// Notes what they do. Nobody reads what cannot be noted.
    pub(super) fn note(&self, app: &App, action: &str, subject: impl std::fmt::Display) -> Result<(), Problem> {
        let Some(kept) = &app.kept else { return Ok(()) };
        kept.trail.note(&self.tenant, &self.name, action, &subject.to_string()).map_err(|_| Problem::unnoted())
    }
}
