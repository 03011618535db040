//! List, read, export, search, delete, and what it cost.

use axum::{
    Json,
    extract::{Path, Query as Parameters, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    App, Problem,
    export::{self, Format},
    kept,
    wire::{ConversationView, HitView, List, UsageView},
};
use crate::{
    http::TENANT,
    ids::ConversationId,
    store::{Conversation, Filter, Item, words::Query},
};

/// What can be asked of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<u32>,
    after: Option<String>,
    agent: Option<String>,
    state: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// `GET /conversations`: newest first.
pub(super) async fn list(
    State(app): State<App>,
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
    let page = kept(&app)?.store.conversations(TENANT, &filter).await?;
    let next = page.conversations.last().filter(|_| page.has_more).map(|last| last.id.to_string());
    let data = page.conversations.into_iter().map(ConversationView::of).collect();
    Ok(Json(List { object: "list", data, has_more: page.has_more, next }).into_response())
}

/// `GET /conversations/{id}`: with its items in order and the receipts of its replies.
pub(super) async fn read(State(app): State<App>, Path(text): Path<String>) -> Result<Response, Problem> {
    let (conversation, items) = whole(&app, &text).await?;
    let receipts = kept(&app)?.store.receipts(conversation.id).await?;
    Ok(Json(ConversationView::whole(conversation, items, receipts)).into_response())
}

/// What can be asked of a transcript.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TranscriptQuery {
    format: Option<Format>,
}

/// `GET /conversations/{id}/transcript`: as a file, by `format` or by `Accept`.
pub(super) async fn transcript(
    State(app): State<App>,
    Path(text): Path<String>,
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
        return read(State(app), Path(text)).await;
    }
    let (conversation, items) = whole(&app, &text).await?;
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
pub(super) async fn delete(State(app): State<App>, Path(text): Path<String>) -> Result<Response, Problem> {
    let id = id(&text)?;
    if kept(&app)?.store.delete(TENANT, id).await? {
        tracing::info!(conversation = %id, "deleted");
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(unknown())
    }
}

/// What can be asked of the search.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    q: String,
    limit: Option<u32>,
    after: Option<String>,
}

/// `GET /search`: where words were said, newest first. All of them must be in an item; the last may be a beginning.
pub(super) async fn search(
    State(app): State<App>,
    query: Result<Parameters<SearchQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let query = parameters(query)?;
    let words = Query::parse(&query.q).ok_or_else(|| Problem::bad_request("q has no words in it."))?;
    let below = query.after.as_deref().map(str::parse).transpose().map_err(|_| bad_cursor())?;
    let page = kept(&app)?.store.search(TENANT, &words, below, limit(query.limit)?).await?;
    let next = page.hits.last().filter(|_| page.has_more).map(|last| last.number.to_string());
    let data = page.hits.into_iter().map(|hit| {
        let snippet = words.mark(&hit.text);
        HitView::of(hit, snippet)
    });
    Ok(Json(List { object: "list", data: data.collect(), has_more: page.has_more, next }).into_response())
}

/// What can be asked of the usage figures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    since: Option<String>,
    until: Option<String>,
}

/// `GET /usage`: per day and in all; the last 30 days unless asked otherwise.
pub(super) async fn usage(
    State(app): State<App>,
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
    let days = kept(&app)?.store.usage(TENANT, since_ms, until_ms).await?;
    Ok(Json(UsageView::of(since_ms, until_ms, &days)).into_response())
}

async fn whole(app: &App, text: &str) -> Result<(Conversation, Vec<Item>), Problem> {
    let id = id(text)?;
    let store = &kept(app)?.store;
    let conversation = store.conversation(TENANT, id).await?.ok_or_else(unknown)?;
    let items = store.timeline(id).await?;
    Ok((conversation, items))
}

fn parameters<T>(query: Result<Parameters<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Parameters(query)| query).map_err(|rejection| Problem::bad_request(rejection.body_text()))
}

/// An id; a text that is none names nothing, like one that nobody has.
fn id(text: &str) -> Result<ConversationId, Problem> {
    text.parse().map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::not_found("There is no conversation of this id.")
}

fn bad_cursor() -> Problem {
    Problem::bad_request("after is the next of an earlier answer.")
}

fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::bad_request("limit is 1 to 100.")),
    }
}

fn time(name: &str, text: &str) -> Result<i64, Problem> {
    let wrong = || Problem::bad_request(format!("{name} is a time such as 2026-11-23T00:00:00Z."));
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(|_| wrong())
}

const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;
const USAGE_MS_MAX: i64 = 400 * 86_400_000;
