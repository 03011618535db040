//! Who reads what is noted, and what belongs to a whole tenant is an admin's to see.

use std::fmt;

use axum::extract::Extension;

use super::{App, Problem};
use crate::auth::{Principal, Role};

/// Whoever asks, as [`super::guard`] found them.
pub(super) type Asking = Extension<Principal>;

/// Refuses whoever is no admin.
pub(super) fn admin(who: &Principal) -> Result<(), Problem> {
    if who.role == Role::Admin { Ok(()) } else { Err(Problem::forbidden("Only an admin may do that.")) }
}

/// Notes what somebody does. Nobody reads what cannot be noted.
pub(super) fn note(app: &App, who: &Principal, action: &str, subject: impl fmt::Display) -> Result<(), Problem> {
    let Some(kept) = &app.kept else { return Ok(()) };
    let name = match &who.user {
        _ if who.is_anybody() => "anybody".to_owned(),
        Some(user) => format!("{user} ({})", who.credential.id),
        None => who.credential.id.clone(),
    };
    kept.trail.note(&who.tenant, &name, action, &subject.to_string()).map_err(|_| Problem::unnoted())
}
