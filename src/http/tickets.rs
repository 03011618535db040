//! `POST /v1/stream/tickets`: what opens one socket, once, within a minute; for browsers and devices, which cannot keep a key.

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};

use super::{
    App,
    openai::{Problem, json, key_holder},
    openapi::{Keyed, Said},
    secrets::TICKET_TTL_S,
};
use crate::{
    auth::{NAME_BYTES_MAX, Principal, Role, Scopes},
    ids::ConversationId,
    protocol::openai::{ErrorKind, ErrorObject},
    store::{Reach, Scope},
};

/// For whom, and for what.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = TicketWanted)]
pub(super) struct Wanted {
    /// `device` (default: talks, and sees nothing but its own conversation), `member` or `admin`; never more than its maker.
    role: Option<String>,
    /// The user to whom the conversation will belong. An admin names anybody of its tenant; left out it is the maker's own.
    #[schema(max_length = 255)]
    user: Option<String>,
    /// The origin whose pages may use it, such as `https://example.org`; left out: any that may connect.
    #[schema(max_length = 255)]
    origin: Option<String>,
    /// A stored conversation that a device may go on with.
    conversation: Option<String>,
}

/// A ticket.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Ticket)]
struct Made {
    /// What is shown: the WebSocket subprotocol `floe.auth.TICKET` beside `floe.v1`.
    ticket: String,
    /// By which it is revoked, before or during its conversation.
    id: String,
    /// Seconds since 1970.
    expires_at: u64,
    /// Seconds from now.
    expires_in_s: u64,
}

#[utoipa::path(
    post, path = "/stream/tickets", operation_id = "create_ticket", tag = "native", summary = "A ticket that opens one socket within 60 s",
    request_body(content = Wanted),
    responses(
        (status = 200, description = "The ticket", body = Made), Keyed, Said,
        (status = 404, description = "There is no such conversation", body = crate::protocol::openai::ErrorBody),
        (status = 503, description = "The database does not answer", body = crate::protocol::openai::ErrorBody),
    ),
)]
pub(super) async fn create(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let maker = key_holder(request.extensions(), Scopes::TICKETS)?.clone();
    let wanted: Wanted = json(request).await?;
    let mut holder = holder(&maker, &wanted)?;
    if let Some(text) = &wanted.conversation {
        holder.credential.conversation = Some(conversation(&app, &holder, text).await?);
    }
    let id = holder.credential.id.clone();
    let (ticket, expires_at) = app.door.make_ticket(holder, wanted.origin).await;
    Ok(Json(Made { ticket, id, expires_at, expires_in_s: TICKET_TTL_S }).into_response())
}

#[utoipa::path(
    delete, path = "/stream/tickets/{id}", operation_id = "revoke_ticket", tag = "native", summary = "Revoke a ticket: its conversation ends",
    params(("id" = String, Path, description = "Id of the ticket")),
    responses(
        (status = 204, description = "It is good no more"), Keyed,
        (status = 404, description = "That is no id of a ticket, or nothing is kept here", body = crate::protocol::openai::ErrorBody),
        (status = 503, description = "The database does not answer", body = crate::protocol::openai::ErrorBody),
    ),
)]
pub(super) async fn revoke(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let who = key_holder(request.extensions(), Scopes::TICKETS)?;
    let unknown = || not_found("ticket_not_found", "That is no id of a ticket.");
    // Nobody keeps a list of tickets. Whoever knows the id has made it: 74 bits of it are random.
    let Path(id) = path.map_err(|_| unknown())?;
    let is_id = id.strip_prefix(KIND).is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let identities = app.door.identities.as_ref().filter(|_| is_id).ok_or_else(unknown)?;
    identities.revoke(&who.tenant, &id).await.map_err(|error| away(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What the id of every ticket begins with.
const KIND: &str = "ticket_";

/// Who holds the ticket.
fn holder(maker: &Principal, wanted: &Wanted) -> Result<Principal, Problem> {
    let role = wanted.role.as_deref().map_or(Ok(Role::Device), str::parse::<Role>);
    let role = role.map_err(|error| Problem::value("role", format!("{error}.")))?;
    let is_name = |text: &str| !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    if wanted.user.as_deref().is_some_and(|user| !is_name(user)) {
        return Err(Problem::value("user", "user has 1 to 255 bytes, and no control characters."));
    }
    if wanted.origin.as_deref().is_some_and(|origin| !is_name(origin) || !origin.contains("://")) {
        return Err(Problem::value("origin", "origin is one such as https://example.org."));
    }
    if wanted.conversation.is_some() && role != Role::Device {
        return Err(Problem::value("conversation", "conversation is for devices: others go on with any of their own."));
    }
    let is_more = role == Role::Admin && maker.role != Role::Admin;
    let is_others = maker.role != Role::Admin && wanted.user.is_some() && wanted.user != maker.user;
    if is_more || is_others {
        let message = "A ticket is never for more than its maker may do: an admin's key makes those of admins and of other users.";
        let error = ErrorObject::new(ErrorKind::Permission, "insufficient_permissions", message);
        return Err(Problem::new(StatusCode::FORBIDDEN, error));
    }
    let user = wanted.user.clone().or_else(|| maker.user.clone());
    if role == Role::Member && user.is_none() {
        return Err(Problem::value("user", "A member's ticket names its user."));
    }
    let credential = maker.credential.child(format!("{KIND}{}", uuid::Uuid::now_v7().simple()));
    Ok(Principal { tenant: maker.tenant.clone(), user, role, scopes: role.scopes().and(maker.scopes), credential })
}

/// A conversation that the holder may be given: one of the user's, or where no user is named, of the tenant's without one.
async fn conversation(app: &App, holder: &Principal, text: &str) -> Result<ConversationId, Problem> {
    let unknown = || not_found("conversation_not_found", "There is no conversation of this id.");
    let (Ok(id), Some(kept)) = (text.parse(), &app.kept) else { return Err(unknown()) };
    let scope = match &holder.user {
        Some(user) => Scope::user(&holder.tenant, user),
        None => Scope { tenant: &holder.tenant, reach: Reach::Tenant },
    };
    let found = kept.store.conversation(scope, id).await.map_err(|error| away(&error))?;
    found.map(|conversation| conversation.id).ok_or_else(unknown)
}

fn not_found(code: &'static str, message: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, ErrorObject::invalid(code, message))
}

fn away(error: &dyn std::error::Error) -> Problem {
    tracing::warn!(%error, "the store did not answer");
    Problem::busy("store_unavailable", "The database does not answer. Try again.", 2)
}
