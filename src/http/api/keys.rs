//! `/api/v1/keys`: API keys, for admins alone.

use axum::{
    Extension, Json,
    extract::{
        Path, Query as Parameters, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App, Problem,
    idempotency::NotKept,
    wire::{List, rfc3339},
};
use crate::{
    auth::{self, Identities, KEY_PREFIX, NewKey, Principal, Role, Scopes},
    http::openapi::{Guarded, Stored},
    store::{KeyRow, now_ms},
};

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next` of the answer before.
    after: Option<String>,
}

/// What a key is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyWanted)]
pub(super) struct Wanted {
    /// What it is for. Two of a name may be active, so that a new one is in use before the old one is revoked.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// `admin` (default) or `member`.
    role: Option<String>,
    /// Whose conversations it opens; a member's key needs one.
    #[schema(min_length = 1, max_length = 255)]
    user: Option<String>,
    /// Any of talk, read, write, tickets, keys; left out: everything that its role may.
    scopes: Option<Vec<String>>,
    /// When it ends; left out: never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyView {
    object: &'static str,
    id: String,
    name: String,
    role: String,
    user: Option<String>,
    scopes: Vec<String>,
    /// How it begins.
    prefix: String,
    /// active, expired or revoked.
    state: &'static str,
    created_at: String,
    expires_at: Option<String>,
    ended_at: Option<String>,
    /// To the minute.
    used_at: Option<String>,
    /// All of it: in the answer to its making, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyView {
    fn of(row: KeyRow, key: Option<String>) -> Self {
        Self {
            object: "key",
            id: row.id.to_string(),
            state: row.state(now_ms()),
            name: row.name,
            role: row.role,
            user: row.user,
            scopes: row.scopes.split_whitespace().map(str::to_owned).collect(),
            prefix: format!("{KEY_PREFIX}{}", row.prefix),
            created_at: rfc3339(row.created_at_ms),
            expires_at: row.expires_at_ms.map(rfc3339),
            ended_at: row.ended_at_ms.map(rfc3339),
            used_at: row.used_at_ms.map(rfc3339),
            key,
        }
    }
}

/// `GET /keys`: newest first.
#[utoipa::path(
    get, path = "/keys", operation_id = "list_keys", tag = "keys", summary = "List API keys, newest first", params(ListQuery),
    responses((status = 200, description = "A part of the list", body = List<KeyView>), Guarded, Stored),
)]
pub(super) async fn list(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    query: Result<Parameters<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let identities = admin(&app, &who)?;
    let query = super::asked::parameters(query)?;
    let limit = super::asked::limit(query.limit)?;
    let after = query.after.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| Problem::bad_request("after is the next of an earlier answer."))?;
    let mut rows = identities.keys(&who.tenant, after, limit + 1).await?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| has_more).map(|last| last.id.to_string());
    let data = rows.into_iter().map(|row| KeyView::of(row, None)).collect();
    Ok(Json(List { object: "list", data, has_more, next }).into_response())
}

/// `POST /keys`: shown once.
#[utoipa::path(
    post, path = "/keys", operation_id = "create_key", tag = "keys", summary = "Make an API key, which is shown once",
    request_body(content = Wanted),
    responses(
        (status = 201, description = "The key", body = KeyView), Guarded, Stored,
        (status = 409, description = "Two keys of this name are active, or the first request with this `Idempotency-Key` cannot be answered twice", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is no JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "This `Idempotency-Key` named another request", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Result<Response, Problem> {
    let identities = admin(&app, &who)?;
    let Json(wanted) = body.map_err(|rejection| {
        let status = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Problem::new(status, "bad_request", rejection.body_text())
    })?;
    let word = |error: auth::UnknownWord| Problem::bad_request(format!("{error}."));
    let role = wanted.role.as_deref().map_or(Ok(Role::Admin), str::parse::<Role>).map_err(word)?;
    let scopes = match &wanted.scopes {
        Some(words) => Scopes::of(words.iter().map(String::as_str)).map_err(word)?,
        None => role.scopes().and(who.scopes),
    };
    if !who.may(scopes) {
        return Err(Problem::forbidden("A key may not do more than the one that makes it."));
    }
    let expires_at_ms =
        wanted.expires_at.as_deref().map(|text| super::conversations::time("expires_at", text)).transpose()?;
    let new = NewKey { tenant: who.tenant, user: wanted.user, name: wanted.name, role, scopes, expires_at_ms };
    let shown = identities.make_key(new).await?;
    tracing::info!(key = %shown.row.id, "an API key was made");
    let mut response = (StatusCode::CREATED, Json(KeyView::of(shown.row, Some(shown.key)))).into_response();
    response.extensions_mut().insert(NotKept);
    Ok(response)
}

/// `DELETE /keys/{id}`: with the conversations that go on with it.
#[utoipa::path(
    delete, path = "/keys/{id}", operation_id = "revoke_key", tag = "keys", summary = "Revoke an API key; conversations that go on with it end within 5 s",
    params(("id" = String, Path, description = "Id of the key")),
    responses((status = 204, description = "It is good no more"), Guarded, Stored),
)]
pub(super) async fn revoke(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let identities = admin(&app, &who)?;
    let unknown = || Problem::not_found("There is no active key of this id.");
    let id = path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(unknown)?;
    if !identities.revoke_key(&who.tenant, id).await? {
        return Err(unknown());
    }
    tracing::info!(key = %id, "an API key was revoked");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Keys are an admin's business.
fn admin<'a>(app: &'a App, who: &Principal) -> Result<&'a Identities, Problem> {
    if who.role != Role::Admin || !who.may(Scopes::KEYS) {
        return Err(Problem::forbidden("Keys are managed by an admin, with a key that has the scope \"keys\"."));
    }
    let none = || match app.kept {
        Some(_) => {
            let detail = "Nobody has to show a key here: auth.mode is none. Set it to keys; then keys can be made.";
            Problem::new(StatusCode::NOT_FOUND, "no_keys_needed", detail)
        }
        None => Problem::nothing_kept(),
    };
    app.door.identities.as_ref().ok_or_else(none)
}

impl From<auth::Error> for Problem {
    fn from(error: auth::Error) -> Self {
        match error {
            auth::Error::Store(error) => error.into(),
            auth::Error::Unfit(detail) if detail.starts_with("Two keys") => {
                Self::new(StatusCode::CONFLICT, "two_active", detail)
            }
            auth::Error::Unfit(detail) => Self::bad_request(detail),
            other => {
                tracing::error!(error = %other, "keys cannot be managed");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "auth_unavailable", other.to_string()).again_in(2)
            }
        }
    }
}
