//! List, read, export, search, delete, and what it cost.

use axum::{
    Extension, Json,
    extract::{
        Path, Query as Parameters, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    App, Problem,
    asked::{bad_cursor, limit, parameters},
    export::{self, Format},
    kept,
    who::{Asking, Asks as _},
    wire::{ConversationView, HitView, List, UsageView},
};
use crate::{
    auth::Principal,
    http::openapi::{Guarded, Stored},
    ids::ConversationId,
    store::{Conversation, Filter, Item, words::Query},
};

/// What can be asked of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next` of the answer before.
    after: Option<String>,
    /// Those with this agent.
    agent: Option<String>,
    /// Those in this state: live, ended or lost.
    state: Option<String>,
    /// Those begun at or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Those begun before it.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// `GET /conversations`: newest first.
#[utoipa::path(
    get, path = "/conversations", operation_id = "list_conversations", tag = "conversations", summary = "List conversations, newest first", params(ListQuery),
    responses((status = 200, description = "A part of the list", body = List<ConversationView>), Guarded, Stored),
)]
pub(super) async fn list(
    State(app): State<App>,
    Extension(who): Asking,
    query: Result<Parameters<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let query = parameters(query)?;
    if query.state.as_deref().is_some_and(|state| !["live", "ended", "lost"].contains(&state)) {
        return Err(Problem::bad_request("state is one of live, ended, lost."));
    }
    let filter = Filter {
        after: query.after.as_deref().map(str::parse).transpose().map_err(|_| bad_cursor())?,
        since_ms: query.since.as_deref().map(|text| time("since", text)).transpose()?,
        until_ms: query.until.as_deref().map(|text| time("until", text)).transpose()?,
        limit: limit(query.limit)?,
        agent: query.agent,
        state: query.state,
    };
    who.note(&app, "list", "conversations")?;
    let page = kept(&app)?.store.conversations(who.scope(), &filter).await?;
    let next = page.conversations.last().filter(|_| page.has_more).map(|last| last.id.to_string());
    let data = page.conversations.into_iter().map(ConversationView::of).collect();
    Ok(Json(List { object: "list", data, has_more: page.has_more, next }).into_response())
}

/// `GET /conversations/{id}`: with its items in order and the receipts of its replies.
#[utoipa::path(
    get, path = "/conversations/{id}", operation_id = "read_conversation", tag = "conversations", summary = "One conversation, with its items in order and the receipts of its replies", params(("id" = String, Path, description = "Id of the conversation")),
    responses((status = 200, description = "The conversation", body = ConversationView), Guarded, Stored),
)]
pub(super) async fn read(
    State(app): State<App>,
    Extension(who): Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (conversation, items) = whole(&app, &who, path).await?;
    let receipts = kept(&app)?.store.receipts(conversation.id).await?;
    Ok(Json(ConversationView::whole(conversation, items, receipts)).into_response())
}

/// What can be asked of a transcript.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TranscriptQuery {
    /// Wins over `Accept`.
    #[param(inline)]
    format: Option<Format>,
}

/// `GET /conversations/{id}/transcript`: as a file, by `format` or by `Accept`.
#[utoipa::path(
    get, path = "/conversations/{id}/transcript", operation_id = "export_conversation", tag = "conversations", summary = "The same as a file", params(TranscriptQuery, ("id" = String, Path, description = "Id of the conversation")),
    responses((status = 200, description = "As asked by `format` or `Accept`", content(
        (ConversationView = "application/json"), (String = "text/vtt"), (String = "application/x-subrip"),
        (String = "text/markdown"), (String = "text/plain"),
    )), Guarded, Stored),
)]
pub(super) async fn transcript(
    State(app): State<App>,
    Extension(who): Asking,
    path: Result<Path<String>, PathRejection>,
    query: Result<Parameters<TranscriptQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = match (parameters(query)?.format, accept) {
        (Some(format), _) => format,
        (None, None) => Format::Json,
        (None, Some(accept)) => Format::accepted(accept)
            .ok_or_else(|| Problem::bad_request("There are json, vtt, srt, md and txt (format=…, or Accept)."))?,
    };
    if format == Format::Json {
        return read(State(app), Extension(who), path).await;
    }
    let (conversation, items) = whole(&app, &who, path).await?;
    let body = match format {
        Format::Vtt => export::vtt(&items),
        Format::Srt => export::srt(&items),
        Format::Md => export::markdown(&conversation, &items),
        Format::Txt | Format::Json => export::text(&items),
    };
    let headers = [
        (header::CONTENT_TYPE, format.media_type()),
        // What people said is shown, not run.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, body).into_response())
}

/// `DELETE /conversations/{id}`: for good.
#[utoipa::path(
    delete, path = "/conversations/{id}", operation_id = "delete_conversation", tag = "conversations", summary = "Delete a conversation for good", params(("id" = String, Path, description = "Id of the conversation")),
    responses((status = 204, description = "It is gone"), Guarded, Stored),
)]
pub(super) async fn delete(
    State(app): State<App>,
    Extension(who): Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = id(path)?;
    let kept = kept(&app)?;
    who.note(&app, "delete", id)?;
    let gone = kept.store.delete(who.scope(), id).await?.ok_or_else(unknown)?;
    // If Redis is away, its state ends by itself.
    let _ends_by_itself = app.shared.forget(gone.session).await;
    tracing::info!(conversation = %id, "deleted");
    match kept.deck.erase(id).await {
        Ok(()) => {
            let _again_next_time = kept.store.erased(kept.recorder.node(), id).await;
        }
        // The database remembers that it is to be erased.
        Err(error) => tracing::warn!(%error, conversation = %id, "its sound is erased later"),
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What can be asked of the search.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    /// Words that all must be there; the last may be a beginning.
    #[param(example = "time")]
    q: String,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// `next` of the answer before.
    after: Option<String>,
}

/// `GET /search`: where words were said, newest first. All of them must be in an item; the last may be a beginning.
#[utoipa::path(
    get, path = "/search", operation_id = "search_conversations", tag = "conversations", summary = "Where words were said, newest first", params(SearchQuery),
    responses((status = 200, description = "A part of the hits", body = List<HitView>), Guarded, Stored),
)]
pub(super) async fn search(
    State(app): State<App>,
    Extension(who): Asking,
    query: Result<Parameters<SearchQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let query = parameters(query)?;
    let words = Query::parse(&query.q).ok_or_else(|| Problem::bad_request("q has no words in it."))?;
    let below = query.after.as_deref().map(str::parse).transpose().map_err(|_| bad_cursor())?;
    // Not for which words: those say as much as the answer.
    who.note(&app, "search", "conversations")?;
    let page = kept(&app)?.store.search(who.scope(), &words, below, limit(query.limit)?).await?;
    let next = page.hits.last().filter(|_| page.has_more).map(|last| last.number.to_string());
    let data = page.hits.into_iter().map(|hit| {
        let snippet = words.mark(&hit.text);
        HitView::of(hit, snippet)
    });
    Ok(Json(List { object: "list", data: data.collect(), has_more: page.has_more, next }).into_response())
}

/// What can be asked of the usage figures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    /// From here on; otherwise 30 days before `until`.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Up to here; otherwise now.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// `GET /usage`: per day and in all; the last 30 days unless asked otherwise.
#[utoipa::path(
    get, path = "/usage", operation_id = "read_usage", tag = "conversations", summary = "What it cost, per day and in all", params(UsageQuery),
    responses((status = 200, description = "The figures", body = UsageView), Guarded, Stored),
)]
pub(super) async fn usage(
    State(app): State<App>,
    Extension(who): Asking,
    query: Result<Parameters<UsageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let query = parameters(query)?;
    let until_ms = match query.until {
        Some(text) => time("until", &text)?,
        None => crate::store::now_ms(),
    };
    let since_ms = match query.since {
        Some(text) => time("since", &text)?,
        None => until_ms - 30 * 86_400_000,
    };
    if since_ms > until_ms || until_ms - since_ms > USAGE_MS_MAX {
        return Err(Problem::bad_request("since comes before until, and at most 400 days before it."));
    }
    let days = kept(&app)?.store.usage(who.scope(), since_ms, until_ms).await?;
    Ok(Json(UsageView::of(since_ms, until_ms, &days)).into_response())
}

async fn whole(
    app: &App,
    who: &Principal,
    path: Result<Path<String>, PathRejection>,
) -> Result<(Conversation, Vec<Item>), Problem> {
    let id = id(path)?;
    let store = &kept(app)?.store;
    let conversation = store.conversation(who.scope(), id).await?.ok_or_else(unknown)?;
    who.note(app, "read", id)?;
    let items = store.timeline(id).await?;
    Ok((conversation, items))
}

/// An id; a text that is none names nothing, like one that nobody has.
pub(super) fn id(path: Result<Path<String>, PathRejection>) -> Result<ConversationId, Problem> {
    path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(unknown)
}

pub(super) fn unknown() -> Problem {
    Problem::not_found("There is no conversation of this id.")
}

pub(super) fn time(name: &str, text: &str) -> Result<i64, Problem> {
    let wrong = || Problem::bad_request(format!("{name} is a time such as 2026-11-23T00:00:00Z."));
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(|_| wrong())
}

const USAGE_MS_MAX: i64 = 400 * 86_400_000;
