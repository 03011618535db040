//! The sound of a conversation: which files there are, and each of them, in ranges.

use std::{io, ops::RangeInclusive, path::PathBuf, time::UNIX_EPOCH};

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom},
    task,
};
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;

use super::{
    App, Kept, Problem,
    conversations::{id, unknown},
    kept,
    who::{Asking, Asks as _},
    wire::{List, rfc3339},
};
use crate::{
    auth::Principal,
    http::openapi::{Binary, Guarded, Ranged, Stored},
    ids::ConversationId,
    store::{Track, record::TrackRow},
    tape::{self, Side},
};

/// A file with one side of a conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TrackView {
    /// Its name: `…/audio/{id}`.
    id: String,
    /// Counts up with each session that went on with the conversation. An item belongs to the last part that begins at or before
    /// it.
    part: i64,
    /// `user` or `assistant`. Both tracks of a part have the same times.
    track: String,
    /// Where it begins in the conversation: an item's words lie in the file at `start_ms` less this.
    start_ms: i64,
    /// How much of it there is; unknown if another server is writing it.
    duration_ms: Option<i64>,
    bytes: Option<i64>,
    started_at: String,
    /// Whether it is over, and nothing is missing.
    complete: bool,
    /// Whether this server has it.
    here: bool,
    url: String,
}

/// `GET /conversations/{id}/audio`: its files, in order; none if no sound was kept.
#[utoipa::path(
    get, path = "/conversations/{id}/audio", operation_id = "list_audio", tag = "conversations", summary = "The sound of a conversation: its files, in order", params(("id" = String, Path, description = "Id of the conversation")),
    responses((status = 200, description = "All of them", body = List<TrackView>), Guarded, Stored),
)]
pub(super) async fn list(
    State(app): State<App>,
    Extension(who): Asking,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (conversation, kept) = (id(path)?, kept(&app)?);
    let mut data = Vec::new();
    for track in tracks(kept, &who, conversation).await? {
        data.push(view(kept, conversation, track).await);
    }
    Ok(Json(List { object: "list", data, has_more: false, next: None }).into_response())
}

/// `GET /conversations/{id}/audio/{track}`: one of them, or a range of its bytes.
#[utoipa::path(
    get, path = "/conversations/{id}/audio/{track}", operation_id = "read_audio", tag = "conversations", summary = "One of these files, or a range of its bytes",
    params(
        ("id" = String, Path, description = "Id of the conversation"),
        ("track" = String, Path, description = "Id of the file", example = "1-user"),
        ("Range" = Option<String>, Header, description = "`bytes=0-1023`; several at once are answered with all of it"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` of which the range is wanted"),
    ),
    responses(
        (status = 200, description = "Ogg/Opus", body = Binary, content_type = "audio/ogg; codecs=opus"),
        (status = 206, description = "The range", body = Binary, content_type = "audio/ogg; codecs=opus"),
        Guarded, Stored, Ranged,
    ),
)]
pub(super) async fn read(
    State(app): State<App>,
    Extension(who): Asking,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((conversation, name)) = path.map_err(|_| unknown())?;
    let (conversation, kept) = (conversation.parse::<ConversationId>().map_err(|_| unknown())?, kept(&app)?);
    let (part, side) = named(&name).ok_or_else(no_file)?;
    let tracks = tracks(kept, &who, conversation).await?;
    who.note(&app, "listen", conversation)?;
    let track = tracks.into_iter().find(|track| (track.part, track.row.track.as_str()) == (part, side.as_str()));
    let track = track.ok_or_else(no_file)?;
    match File::open(kept.deck.file(conversation, part, side)).await {
        Ok(file) => serve(file, &headers).await.map_err(|error| unreadable(&error)),
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(unreadable(&error))
        }
        Err(_) if track.node != kept.recorder.node() => {
            let detail = format!("Server {} recorded it. Ask that one, or let both share store.audio_dir.", track.node);
            Err(Problem::new(StatusCode::NOT_FOUND, "recorded_elsewhere", detail))
        }
        Err(_) => {
            Err(Problem::new(StatusCode::NOT_FOUND, "audio_missing", "It was recorded here, and its file is gone."))
        }
    }
}

/// The files of a conversation that this principal may see.
async fn tracks(kept: &Kept, who: &Principal, conversation: ConversationId) -> Result<Vec<Track>, Problem> {
    kept.store.conversation(who.scope(), conversation).await?.ok_or_else(unknown)?;
    Ok(kept.store.tracks(conversation).await?)
}

/// The files of a conversation, for whoever may see it.
pub(super) async fn of(kept: &Kept, conversation: ConversationId) -> Result<Vec<TrackView>, crate::store::Error> {
    let mut views = Vec::new();
    for track in kept.store.tracks(conversation).await? {
        views.push(view(kept, conversation, track).await);
    }
    Ok(views)
}

async fn view(kept: &Kept, conversation: ConversationId, track: Track) -> TrackView {
    let Track { row, part, started_at_ms, node: _ } = track;
    let TrackRow { track, offset_ms, mut length_ms, mut bytes, complete } = row;
    let file = Side::from_name(&track).map(|side| kept.deck.file(conversation, part, side)).unwrap_or_default();
    let here = tokio::fs::try_exists(&file).await.unwrap_or_default();
    if here && length_ms.is_none() {
        // It is still written, or its server ended without a word: the file knows.
        let found = measure(file).await;
        length_ms = found.and_then(|(length, _)| i64::try_from(length).ok());
        bytes = found.and_then(|(_, bytes)| i64::try_from(bytes).ok());
    }
    let id = format!("{part}-{track}");
    TrackView {
        url: format!("/api/v1/conversations/{conversation}/audio/{id}"),
        id,
        part,
        track,
        start_ms: offset_ms,
        duration_ms: length_ms,
        bytes,
        started_at: rfc3339(started_at_ms),
        complete,
        here,
    }
}

#[expect(clippy::disallowed_methods, reason = "two short reads of a file, as tokio::fs does each by itself")]
async fn measure(file: PathBuf) -> Option<(u64, u64)> {
    task::spawn_blocking(move || tape::length_ms(&file)).await.ok()?.ok()?
}

/// All of a file, or the range that was asked for. One that is still written is as long as it is now.
async fn serve(mut file: File, headers: &HeaderMap) -> io::Result<Response> {
    let about = file.metadata().await?;
    let length = about.len();
    let changed = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let tag = format!("\"{length:x}-{changed:x}\"");
    let mut response = match wanted(headers, &tag, length) {
        Wanted::Nothing => {
            let detail = format!("The file has {length} bytes.");
            let mut refusal =
                Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail).into_response();
            insert(&mut refusal, header::CONTENT_RANGE, &format!("bytes */{length}"));
            return Ok(refusal);
        }
        Wanted::All => body(file, length),
        Wanted::Range(range) => {
            file.seek(SeekFrom::Start(*range.start())).await?;
            let mut response = body(file, range.end() - range.start() + 1);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let place = format!("bytes {}-{}/{length}", range.start(), range.end());
            insert(&mut response, header::CONTENT_RANGE, &place);
            response
        }
    };
    insert(&mut response, header::ETAG, &tag);
    insert(&mut response, header::ACCEPT_RANGES, "bytes");
    insert(&mut response, header::CONTENT_TYPE, "audio/ogg; codecs=opus");
    insert(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    Ok(response)
}

fn body(file: File, length: u64) -> Response {
    let mut response = Body::from_stream(ReaderStream::new(file.take(length))).into_response();
    insert(&mut response, header::CONTENT_LENGTH, &length.to_string());
    response
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What is asked for of a file.
enum Wanted {
    All,
    Range(RangeInclusive<u64>),
    /// It has no such bytes.
    Nothing,
}

/// A range that makes no sense, or of a file as it was once, is as if it had not been asked for (RFC 9110, 14.2).
fn wanted(headers: &HeaderMap, tag: &str, length: u64) -> Wanted {
    let Some(asked) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else { return Wanted::All };
    if headers.get(header::IF_RANGE).is_some_and(|of| of.as_bytes() != tag.as_bytes()) {
        return Wanted::All;
    }
    let Ok(parsed) = http_range_header::parse_range_header(asked) else { return Wanted::All };
    if parsed.ranges.len() > 1 {
        return Wanted::All;
    }
    match parsed.validate(length).ok().and_then(|ranges| ranges.into_iter().next()) {
        Some(range) => Wanted::Range(range),
        None => Wanted::Nothing,
    }
}

/// `1-user`: a number and a word, and nothing that could lead elsewhere.
fn named(name: &str) -> Option<(i64, Side)> {
    let (part, side) = name.split_once('-')?;
    let part = part.parse().ok().filter(|number: &i64| number.to_string() == part)?;
    Some((part, Side::from_name(side)?))
}

fn no_file() -> Problem {
    Problem::not_found("The conversation has no file of this id.")
}

fn unreadable(error: &io::Error) -> Problem {
    tracing::warn!(%error, "a file of sound cannot be read");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "audio_unreadable", "The disk does not give it.").again_in(5)
}
