//! Where events are sent.

use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App, Problem,
    idempotency::NotKept,
    kept,
    who::{Asking, Asks as _},
    wire::{List, rfc3339},
};
use crate::{
    http::openapi::{Guarded, Stored},
    ids::HookId,
    jobs::webhook::new_secret,
    reach,
    store::{
        now_ms,
        webhooks::{EVENTS, HOOKS_MAX, Webhook},
    },
};

/// A webhook to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Where events are sent, as `https://…` in a public network.
    #[schema(example = "https://example.org/floe")]
    url: String,
    /// Which; absent = all there are: conversation.ended, conversation.summarised, conversation.deleted.
    events: Option<Vec<String>>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView {
    object: &'static str,
    id: String,
    url: String,
    events: Vec<String>,
    created_at: String,
    /// Since when its server wants nothing any more: it answered 410.
    gone_at: Option<String>,
    /// What its messages are signed with (Standard Webhooks). Told once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookView {
    fn of(hook: Webhook) -> Self {
        Self {
            object: "webhook",
            id: hook.id.to_string(),
            url: hook.url,
            events: hook.events,
            created_at: rfc3339(hook.created_at_ms),
            gone_at: hook.gone_at_ms.map(rfc3339),
            secret: None,
        }
    }
}

/// `POST /webhooks`.
#[utoipa::path(
    post, path = "/webhooks", operation_id = "create_webhook", tag = "webhooks", summary = "Have events sent somewhere", request_body = Wanted,
    responses(
        (status = 201, description = "The webhook, with its secret: it is not told again", body = WebhookView),
        (status = 409, description = "There are 20 already; or this `Idempotency-Key` was used, and its answer is told once", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "This `Idempotency-Key` named another request", body = Problem, content_type = "application/problem+json"),
        Guarded, Stored,
    ),
)]
pub(super) async fn create(
    State(app): State<App>,
    who: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    who.admin()?;
    let kept = kept(&app)?;
    let body = body.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is not complete, or too large.")
    })?;
    let wanted: Wanted = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("The body does not fit: {error}.")))?;
    if wanted.url.len() > URL_BYTES_MAX || wanted.url.contains('\0') {
        return Err(Problem::bad_request("url is too long, or no address."));
    }
    kept.reach.check(&wanted.url).map_err(|error| match error {
        reach::Error::Forbidden(_) => {
            Problem::bad_request(format!("url: {error}. An operator can allow it: reach.allow."))
        }
        error => Problem::bad_request(format!("url: {error}.")),
    })?;
    let mut events = wanted.events.unwrap_or_else(|| EVENTS.iter().map(|&event| event.to_owned()).collect());
    events.sort();
    events.dedup();
    if events.is_empty() || events.iter().any(|event| !EVENTS.contains(&event.as_str())) {
        return Err(Problem::bad_request(format!("events are some of {}.", EVENTS.join(", "))));
    }
    let secret = new_secret();
    let id = HookId::new();
    let hook =
        Webhook { id, url: wanted.url, events, secret: secret.clone(), created_at_ms: now_ms(), gone_at_ms: None };
    who.note(&app, "create_webhook", id)?;
    if !kept.store.add_webhook(&who.tenant, &hook).await? {
        return Err(Problem::new(StatusCode::CONFLICT, "full", format!("There are {HOOKS_MAX} webhooks already.")));
    }
    let view = WebhookView { secret: Some(secret.expose_secret().to_owned()), ..WebhookView::of(hook) };
    let location = [(header::LOCATION, format!("/api/v1/webhooks/{id}"))];
    let mut response = (StatusCode::CREATED, location, Json(view)).into_response();
    response.extensions_mut().insert(NotKept);
    Ok(response)
}

/// `GET /webhooks`: oldest first.
#[utoipa::path(
    get, path = "/webhooks", operation_id = "list_webhooks", tag = "webhooks", summary = "Where events are sent",
    responses((status = 200, description = "All of them", body = List<WebhookView>), Guarded, Stored),
)]
pub(super) async fn list(State(app): State<App>, who: Asking) -> Result<Response, Problem> {
    who.admin()?;
    let hooks = kept(&app)?.store.webhooks(&who.tenant).await?;
    let data = hooks.into_iter().map(WebhookView::of).collect();
    Ok(Json(List { object: "list", data, has_more: false, next: None }).into_response())
}

/// `GET /webhooks/{id}`.
#[utoipa::path(
    get, path = "/webhooks/{id}", operation_id = "read_webhook", tag = "webhooks", summary = "One webhook", params(("id" = String, Path, description = "Id of the webhook")),
    responses((status = 200, description = "The webhook", body = WebhookView), Guarded, Stored),
)]
pub(super) async fn read(
    State(app): State<App>,
    who: Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    who.admin()?;
    let hook = kept(&app)?.store.webhook(&who.tenant, id(path)?).await?.ok_or_else(unknown)?;
    Ok(Json(WebhookView::of(hook)).into_response())
}

/// `DELETE /webhooks/{id}`.
#[utoipa::path(
    delete, path = "/webhooks/{id}", operation_id = "delete_webhook", tag = "webhooks", summary = "Have nothing sent there any more", params(("id" = String, Path, description = "Id of the webhook")),
    responses((status = 204, description = "It is gone"), Guarded, Stored),
)]
pub(super) async fn delete(
    State(app): State<App>,
    who: Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    who.admin()?;
    let (store, id) = (&kept(&app)?.store, id(path)?);
    who.note(&app, "delete_webhook", id)?;
    if store.remove_webhook(&who.tenant, id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(unknown())
    }
}

/// A message on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sent {
    object: &'static str,
    /// The job's subject; `GET /jobs?kind=webhook` tells what became of it.
    subject: String,
}

/// `POST /webhooks/{id}/test`: sends a `webhook.test`.
#[utoipa::path(
    post, path = "/webhooks/{id}/test", operation_id = "test_webhook", tag = "webhooks", summary = "Send a message that tells of nothing", params(("id" = String, Path, description = "Id of the webhook")),
    responses((status = 202, description = "It is on its way", body = Sent), Guarded, Stored),
)]
pub(super) async fn test(
    State(app): State<App>,
    who: Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    who.admin()?;
    let (store, id) = (&kept(&app)?.store, id(path)?);
    store.webhook(&who.tenant, id).await?.ok_or_else(unknown)?;
    let subject = store.test_webhook(&who.tenant, id).await?;
    Ok((StatusCode::ACCEPTED, Json(Sent { object: "webhook.test", subject })).into_response())
}

fn id(path: Result<Path<String>, PathRejection>) -> Result<HookId, Problem> {
    path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("There is no webhook of this id.")
}

const URL_BYTES_MAX: usize = 2_048;
