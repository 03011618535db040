//! `POST /api/voice/process`: a recording through a whole conversation.

use std::{io, pin::Pin, time::Duration};

use axum::{
    Extension, Json,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use super::{
    App,
    api::{self, Problem},
    auth,
    openapi::{self, Binary, Guarded, Uploaded, documented},
    outgoing, socket,
};
use crate::{
    audio::{self, container::Limits},
    auth::{Principal, Scopes},
    converse::{self, Recording, Update},
    ids::SessionId,
    session::registry::{Permit, Refusal},
};

mod answer;
mod sound;
mod upload;
mod wanted;

use answer::{Event, Gathered, Processed, Step, json};
use sound::{Container, Sound};
use wanted::{Answer, Wanted};

/// The routes below `/api/voice`.
pub(super) fn router(app: &App) -> OpenApiRouter<App> {
    let upload = DefaultBodyLimit::max(app.openai.upload_bytes_max.saturating_add(upload::FORM_BYTES_MAX));
    let (router, document) = OpenApiRouter::new().routes(routes!(process).layer(upload)).split_for_parts();
    let router = router
        .route("/{*path}", any(|| async { Problem::not_found("There is no such resource.") }))
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(app.clone(), api::idempotency::once))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        // Outside of that: whoever tries keys is counted too.
        .layer(middleware::from_fn_with_state(app.clone(), api::limits::counted))
        .layer(middleware::from_fn_with_state(app.clone(), auth::identify));
    documented(router, document)
}

/// For those who may talk.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    api::guarded(&app, request, next, Scopes::TALK).await
}

/// A form with a recording in it, and what is wanted of it.
#[derive(utoipa::ToSchema)]
#[schema(as = ProcessForm)]
#[expect(dead_code, reason = "read piece by piece; this is its description")]
struct Form {
    /// WAV, FLAC, MP3, M4A/MP4 (AAC), Ogg or WebM (Opus, Vorbis). The content decides; names and types are not believed.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    #[serde(flatten)]
    wanted: Wanted,
}

/// Process a recording
///
/// The file is heard, answered and, if asked, spoken by the same rules and engines as a live call, only faster: each turn in
/// it gets its reply. The answer is JSON; with `Accept: text/event-stream` events while it goes on (`begun`, `progress`,
/// `transcript`, `reply.text`, `tool.call`, `tool.output`, `turn`, and at last `done` with the same JSON, or `error` with a
/// problem); with `Accept: audio/wav` or `audio/ogg` the speech of the replies, sent while it is spoken.
#[utoipa::path(
    post, path = "/process", operation_id = "process_recording", tag = "voice", params(Wanted),
    request_body(
        description = "The recording, in a form or as it is",
        content((Form = "multipart/form-data"), (inline(Binary) = "application/octet-stream"), (inline(Binary) = "audio/*")),
    ),
    responses(
        (status = 200, description = "What was said and answered. `text` is empty if nobody spoke", headers(
            ("x-floe-conversation" = String, description = "Under which id it is kept; absent if it is not"),
        ), content(
            (Processed = "application/json"), (openapi::Event = "text/event-stream"), (inline(Binary) = "audio/wav"), (inline(Binary) = "audio/ogg"),
        )),
        Guarded,
        Uploaded,
    ),
)]
async fn process(
    State(app): State<App>,
    Extension(who): Extension<Principal>,
    request: Request,
) -> Result<Response, Problem> {
    let mut wanted = Wanted::of_query(request.uri())?;
    let answer = Answer::accepted(request.headers())?;
    let permit = admit(&app)?;
    let file = upload::read(&app, request, &mut wanted).await?;
    let began = socket::now();
    let sound = match answer {
        Answer::Speech(sound) => Some(sound),
        Answer::Json | Answer::Events => wanted.audio,
    };
    let mut settings = app.settings.patched(wanted.patch());
    settings.speak = sound.is_some();
    let language = settings.language.to_string();
    let recording = Recording {
        file,
        limits: Limits { duration_ms_max: app.openai.upload_audio_s_max.saturating_mul(1_000) },
        mode: wanted.mode(),
        settings,
        output: sound.unwrap_or(Sound::Wav).format(),
    };
    let length = converse::measure(&recording).await.map_err(problem)?;
    let id = SessionId::new();
    let kept = app.kept.as_ref().filter(|_| wanted.store.unwrap_or(true));
    let scribe = kept.map(|kept| kept.begin(&who, id, AGENT.to_owned(), language, None));
    let conversation = scribe.as_ref().map(|scribe| scribe.conversation().to_string());
    let pass = socket::pass(&app, &who);
    let updates: Updates =
        Box::pin(converse::converse(recording, id, app.engines.clone(), scribe, permit, Some(pass), app.drain_grace));
    let gathered = Gathered::new(conversation.clone(), length, sound, began);
    let mut response = match (answer, sound) {
        (Answer::Speech(_), Some(sound)) => speech(updates, sound).await?,
        (Answer::Events, _) => events(updates, gathered),
        _ => Json(whole(updates, gathered).await?).into_response(),
    };
    if let Some(value) = conversation.and_then(|id| id.parse().ok()) {
        response.headers_mut().insert(CONVERSATION, value);
    }
    Ok(response)
}

type Updates = Pin<Box<dyn Stream<Item = Result<Update, converse::Error>> + Send>>;

/// A place for a job, under the same conditions as for a conversation.
fn admit(app: &App) -> Result<Permit, Problem> {
    if app.registry.is_draining() {
        return Err(Refusal::Draining.into());
    }
    socket::has_time(app)?;
    Ok(app.jobs.admit()?)
}

/// Everything, at the end.
async fn whole(mut updates: Updates, mut gathered: Gathered) -> Result<Processed, Problem> {
    while let Some(update) = updates.next().await {
        if let Step::Done(answer) = gathered.take(update.map_err(problem)?)? {
            return Ok(*answer);
        }
    }
    Err(Problem::engine("broken"))
}

/// Everything, as it happens.
fn events(updates: Updates, gathered: Gathered) -> Response {
    let first = stream::iter([Ok(line(gathered.begun()))]);
    let rest = stream::unfold(Some((updates, gathered)), |state| async move {
        let (mut updates, mut gathered) = state?;
        let piece = loop {
            let step = match time::timeout(SILENCE_MAX, updates.next()).await {
                Err(_elapsed) => break Bytes::from_static(b": working\n\n"),
                Ok(None) => Err(Problem::engine("broken")),
                Ok(Some(update)) => update.map_err(problem).and_then(|update| gathered.take(update)),
            };
            match step {
                Ok(Step::Event(None)) => {}
                Ok(Step::Event(Some(event))) => break line(event),
                Ok(Step::Done(answer)) => return Some((Ok(line(("done", json(&answer)))), None)),
                Err(problem) => return Some((Ok(line(("error", json(&problem)))), None)),
            }
        };
        Some((Ok(piece), Some((updates, gathered))))
    });
    let body = outgoing::body(first.chain(rest), ());
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn line((name, data): Event) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The speech of all replies as one file. What fails before the first sound is told by the status; what fails later breaks
/// the connection off.
async fn speech(mut updates: Updates, sound: Sound) -> Result<Response, Problem> {
    let first = loop {
        match updates.next().await {
            Some(Ok(Update::Speech(payload))) => break payload,
            Some(Ok(Update::Done(_))) | None => {
                let detail =
                    "Nobody spoke in this recording, or the reply could not be spoken. Ask for JSON to know which.";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing_spoken", detail));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(problem(error)),
        }
    };
    let mut container = Container::new(sound).map_err(|error| problem(error.into()))?;
    let head = container.head();
    let pieces = stream::iter([Ok(Update::Speech(first))]).chain(updates).map(move |update| match update {
        Ok(Update::Speech(payload)) => container.push(payload).map_err(io::Error::other),
        Ok(Update::Done(_)) => container.finish().map_err(io::Error::other),
        Ok(_) => Ok(Bytes::new()),
        Err(error) => Err(io::Error::other(error)),
    });
    let pieces = stream::iter([Ok(head)]).chain(pieces);
    let pieces = pieces.filter(|piece| std::future::ready(!matches!(piece, Ok(bytes) if bytes.is_empty())));
    Ok(([(header::CONTENT_TYPE, sound.content_type())], outgoing::body(pieces, ())).into_response())
}

/// What the client is told of a recording that cannot be processed.
fn problem(error: converse::Error) -> Problem {
    use audio::Error as Audio;
    let error = match error {
        converse::Error::Audio(error) => error,
        converse::Error::Recognition(reason) => return Problem::engine(&reason),
        converse::Error::Restart => return Refusal::Draining.into(),
        converse::Error::Broken => return Problem::engine("broken"),
    };
    let status = match &error {
        Audio::FileTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Audio::CodecUnsupported { .. } | Audio::NoTrack | Audio::ContainerUnreadable { .. } => {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        }
        Audio::Broken { .. } => return Problem::engine("broken"),
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.code(), format!("{error}."))
}

/// Under which id the conversation is kept, where the body does not say it.
const CONVERSATION: HeaderName = HeaderName::from_static("x-floe-conversation");

/// Who answers: there is one agent.
const AGENT: &str = "default";

/// Longest silence of a stream of events: proxies cut off what says nothing.
const SILENCE_MAX: Duration = Duration::from_secs(15);
