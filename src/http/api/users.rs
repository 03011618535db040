//! All that is one user's: as one download, and gone for good. And who has read what.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{
        Path, Query as Parameters, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App, Kept, Problem,
    asked::{bad_cursor, limit, parameters},
    audio::{self, TrackView},
    kept,
    who::{Asking, Asks as _},
    wire::{ConversationView, List, rfc3339},
};
use crate::{
    auth::{NAME_BYTES_MAX, Principal, Role},
    http::openapi::{Guarded, Stored},
    ids::ConversationId,
    store::{self, Erasure, now_ms},
};

/// Everything of a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserExport)]
pub(super) struct ExportView {
    object: &'static str,
    user: String,
    exported_at: String,
    /// Oldest first, with everything in them.
    conversations: Vec<Exported>,
}

/// A conversation with everything in it, and the files of its sound, which are asked for one by one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExportedConversation)]
struct Exported {
    #[serde(flatten)]
    conversation: ConversationView,
    audio: Vec<TrackView>,
}

/// `GET /users/{user}/export`: sent as it is read, one conversation after the other.
#[utoipa::path(
    get, path = "/users/{user}/export", operation_id = "export_user", tag = "privacy", summary = "Everything of one user as a download", params(("user" = String, Path, description = "Id of the user")),
    responses((status = 200, description = "Everything; of a user of whom nothing is kept, an empty list", body = ExportView), Guarded, Stored),
)]
pub(super) async fn export(
    State(app): State<App>,
    who: Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let user = user(&who, path)?;
    let kept = kept(&app)?.clone();
    who.note(&app, "export_user", &user)?;
    // The first part is read before anything is promised: if the database is away, that is said by the status.
    let first = kept.store.conversations_of(&who.tenant, &user, None).await?;
    let head = format!(
        "{{\"object\":\"user_export\",\"user\":{},\"exported_at\":\"{}\",\"conversations\":[",
        serde_json::Value::from(user.as_str()),
        rfc3339(now_ms())
    );
    let reading =
        Reading { kept, tenant: who.tenant.clone(), user: user.into(), queue: first.into(), last: None, told: 0 };
    let body = stream::try_unfold((Some(head), Some(reading)), |(head, reading)| async move {
        let Some(reading) = reading else { return Ok::<_, store::Error>(None) };
        if let Some(head) = head {
            return Ok(Some((Bytes::from(head), (None, Some(reading)))));
        }
        let (piece, rest) = reading.next().await?;
        Ok(Some((piece, (None, rest))))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"floe-export.json\""),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// An export on its way: holds one conversation at a time.
struct Reading {
    kept: Kept,
    tenant: String,
    user: Arc<str>,
    queue: std::collections::VecDeque<store::Conversation>,
    last: Option<ConversationId>,
    told: u64,
}

impl Reading {
    async fn next(mut self) -> Result<(Bytes, Option<Self>), store::Error> {
        if self.queue.is_empty() && self.told > 0 {
            self.queue = self.kept.store.conversations_of(&self.tenant, &self.user, self.last).await?.into();
        }
        let Some(conversation) = self.queue.pop_front() else { return Ok((Bytes::from_static(b"]}"), None)) };
        let id = conversation.id;
        let store = &self.kept.store;
        let (items, receipts) = (store.timeline(id).await?, store.receipts(id).await?);
        let conversation = ConversationView::whole(conversation, items, receipts);
        let view = Exported { conversation, audio: audio::of(&self.kept, id).await? };
        let comma = if self.told > 0 { "," } else { "" };
        let piece = format!("{comma}{}", serde_json::to_string(&view).unwrap_or_else(|_| "null".to_owned()));
        self.told += 1;
        self.last = Some(id);
        Ok((piece.into(), Some(self)))
    }
}

/// An erasure that goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub(super) struct ErasureView {
    object: &'static str,
    user: String,
    /// Everything begun before this is erased.
    before: String,
}

/// `DELETE /users/{user}`: everything of theirs, here, on the other servers, and again if a backup brings it back.
#[utoipa::path(
    delete, path = "/users/{user}", operation_id = "erase_user", tag = "privacy", summary = "Erase everything of one user", params(("user" = String, Path, description = "Id of the user")),
    responses((status = 202, description = "It is noted, and goes on: within seconds in the database, within a day everywhere", body = ErasureView), Guarded, Stored),
)]
pub(super) async fn erase(
    State(app): State<App>,
    who: Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let user = user(&who, path)?;
    let kept = kept(&app)?;
    who.note(&app, "erase_user", &user)?;
    let erasure = Erasure { tenant: who.tenant.clone(), user, before_ms: now_ms() };
    // First where a restore does not reach; whoever asks again is told the same.
    kept.erased.append(&erasure).await.map_err(store::Error::Erasures)?;
    kept.store.note_erasure(&erasure).await?;
    let view = ErasureView { object: "erasure", before: rfc3339(erasure.before_ms), user: erasure.user };
    Ok((StatusCode::ACCEPTED, Json(view)).into_response())
}

/// What can be asked of the audit trail.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next` of the answer before.
    after: Option<String>,
}

/// Somebody did something.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct AuditView {
    object: &'static str,
    at: String,
    principal: String,
    action: String,
    subject: String,
}

/// `GET /audit`: newest first.
#[utoipa::path(
    get, path = "/audit", operation_id = "read_audit", tag = "privacy", summary = "Who read what, newest first", params(AuditQuery),
    responses((status = 200, description = "A part of the trail", body = List<AuditView>), Guarded, Stored),
)]
pub(super) async fn audit(
    State(app): State<App>,
    who: Asking,
    query: Result<Parameters<AuditQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    who.admin()?;
    let query = parameters(query)?;
    let limit = limit(query.limit)?;
    let below = query.after.as_deref().map(str::parse).transpose().map_err(|_| bad_cursor())?;
    let mut entries = kept(&app)?.store.audit(&who.tenant, below, limit).await?;
    let has_more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| has_more).map(|last| last.number.to_string());
    let view = |entry: store::audit::Entry| AuditView {
        object: "audit_entry",
        at: rfc3339(entry.at_ms),
        principal: entry.principal,
        action: entry.action,
        subject: entry.subject,
    };
    let data = entries.into_iter().map(view).collect();
    Ok(Json(List { object: "list", data, has_more, next }).into_response())
}

/// A user's id: for an admin any text that could be one, for others their own.
fn user(who: &Principal, path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let is_theirs = |user: &String| who.role == Role::Admin || who.user.as_ref() == Some(user);
    let could_be = |user: &String| user.len() <= NAME_BYTES_MAX && !user.contains('\0');
    let known = path.ok().map(|Path(user)| user).filter(could_be).filter(is_theirs);
    known.ok_or_else(|| Problem::not_found("There is no user of this id."))
}
