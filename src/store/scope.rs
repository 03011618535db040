//! Whose rows are meant.

use crate::ids::ConversationId;

/// What a question may touch. There is no question without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Whose database this is, as it were: nothing crosses from one tenant to another.
    pub tenant: &'a str,
    /// What of it.
    pub reach: Reach<'a>,
}

/// How much of a tenant's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach<'a> {
    /// Everything.
    Tenant,
    /// What belongs to this user.
    User(&'a str),
    /// One conversation, to read and to go on with.
    One(ConversationId),
    /// Nothing that is there already.
    Nothing,
}

impl<'a> Scope<'a> {
    /// Everything of a tenant.
    pub const fn tenant(tenant: &'a str) -> Self {
        Self { tenant, reach: Reach::Tenant }
    }

    /// What belongs to a user of a tenant.
    pub const fn user(tenant: &'a str, user: &'a str) -> Self {
        Self { tenant, reach: Reach::User(user) }
    }
}
