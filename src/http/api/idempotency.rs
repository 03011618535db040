//! `Idempotency-Key`: a POST that its caller has named is done once, however often it is sent.
//!
//! The name counts per caller and address of the resource, for 24 hours. What is compared is the method, the address, the
//! content type and the first [`COMPARED_BYTES`] of the body; the boundaries of a form, which every attempt makes anew, are
//! left out. Answers of up to [`ANSWER_BYTES_MAX`] whose length is known come again as they were. A longer one, or one
//! that is sent while it is made, or one with a secret in it, does not: who repeats that request is told that it was done. An answer that says that nothing was
//! done (5xx, 401, 403, 408, 409, 429) is not remembered.

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time;

use super::Problem;
use crate::{
    http::{App, limits::caller},
    store::shared::{Beginning, Begun, Digest},
};

/// Put into an answer that is told once: it holds a secret, and is kept nowhere.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct NotKept;

/// Bytes of a request's body that are compared; the rest is not held.
const COMPARED_BYTES: usize = 1 << 20;

/// Longest answer that is kept.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Longest wait for the bytes that are compared.
const BODY_TIMEOUT: time::Duration = time::Duration::from_secs(30);

/// Longest name.
const KEY_BYTES_MAX: usize = 255;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Does a named POST once. A layer behind the one that says who may ask.
pub(in crate::http) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(name) = request.headers().get(IDEMPOTENCY_KEY).filter(|_| request.method() == Method::POST).cloned()
    else {
        return next.run(request).await;
    };
    match named(&app, &name, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn named(app: &App, name: &HeaderValue, request: Request, next: Next) -> Result<Response, Problem> {
    let is_good = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let name = name.as_bytes();
    if name.is_empty() || name.len() > KEY_BYTES_MAX || !name.iter().all(is_good) {
        return Err(Problem::bad_request("Idempotency-Key is 1 to 255 characters of ASCII."));
    }
    let key = digest([&caller(app, &request)[..], request.uri().path().as_bytes(), name]);
    let (request, content) = compared(request).await?;
    match app.shared.begin(key, content).await {
        Beginning::New(begun) => Ok(answer(begun, next.run(request).await).await),
        Beginning::Running => {
            Err(Problem::conflict("in_progress", "A request with this Idempotency-Key is being answered."))
        }
        Beginning::Mismatch => {
            Err(Problem::other_request("This Idempotency-Key was used for another request. Take a new one."))
        }
        Beginning::Done(kept) => Answer::read(&kept)
            .ok_or_else(|| Problem::conflict("already_done", "This was done, and its answer is not kept.")),
    }
}

/// What a request asks, and the request with its body as it was.
async fn compared(request: Request) -> Result<(Request, Digest), Problem> {
    let (parts, body) = request.into_parts();
    let mut rest = body.into_data_stream();
    let (mut read, mut length, mut is_whole) = (Vec::new(), 0, false);
    let reading = async {
        while length < COMPARED_BYTES {
            match rest.next().await {
                Some(Ok(bytes)) => {
                    length += bytes.len();
                    read.push(bytes);
                }
                Some(Err(_)) => return false,
                None => {
                    is_whole = true;
                    return true;
                }
            }
        }
        true
    };
    if !time::timeout(BODY_TIMEOUT, reading).await.unwrap_or(false) {
        return Err(Problem::bad_request("The body broke off, or came too slowly."));
    }
    let mut beginning = read.concat();
    if !is_whole {
        // However the body arrived in pieces; and no boundary is cut in two that would have to be left out.
        beginning.truncate(COMPARED_BYTES - BOUNDARY_BYTES_MAX);
    }
    let text = |name| parts.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let (kind, boundary) = content_type(&parts.headers);
    if let Some(boundary) = boundary {
        beginning = without(&beginning, boundary.as_bytes());
    }
    let address = parts.uri.path_and_query().map(|address| address.as_str()).unwrap_or_default();
    let content = digest([
        parts.method.as_str().as_bytes(),
        address.as_bytes(),
        kind.as_bytes(),
        text(header::CONTENT_LENGTH),
        &beginning,
    ]);
    let body = Body::from_stream(stream::iter(read.into_iter().map(Ok)).chain(rest));
    Ok((Request::from_parts(parts, body), content))
}

/// The media type, and the boundary of a form.
fn content_type(headers: &HeaderMap) -> (&str, Option<&str>) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split_once("boundary=") {
        Some((before, boundary)) if before.trim_start().to_ascii_lowercase().starts_with("multipart/") => {
            let boundary = boundary.split(';').next().unwrap_or_default().trim().trim_matches('"');
            (before, (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()).then_some(boundary))
        }
        _ => (kind, None),
    }
}

/// The longest boundary, by RFC 2046.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Bytes without those of `part`.
fn without(bytes: &[u8], part: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(part.len()).position(|window| window == part) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// Keeps an answer, and gives it.
async fn answer(begun: Begun, response: Response) -> Response {
    let status = response.status();
    let was_not_done = status.is_server_error() || matches!(status.as_u16(), 401 | 403 | 408 | 409 | 429);
    if was_not_done {
        return response;
    }
    let (parts, body) = response.into_parts();
    let is_short = body.size_hint().exact().is_some_and(|bytes| bytes <= ANSWER_BYTES_MAX as u64);
    if !is_short || parts.extensions.get::<NotKept>().is_some() {
        let _only_this_caller_knows = begun.finish(Bytes::new()).await;
        return Response::from_parts(parts, body);
    }
    // It is all there: nobody waits for anything.
    let Ok(body) = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let _only_this_caller_knows = begun.finish(Answer::write(status, &parts.headers, &body)).await;
    Response::from_parts(parts, Body::from(body))
}

/// The head of an answer as it is kept; a line feed and the body follow. Nothing at all: it was too long.
#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
}

/// Headers that belong to the answer and not to the moment.
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::X_CONTENT_TYPE_OPTIONS];

impl Answer {
    fn write(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Bytes {
        let kept = KEPT_HEADERS.iter().filter_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        let head = Self { status: status.as_u16(), headers: kept.collect() };
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(body);
        bytes.into()
    }

    fn read(kept: &Bytes) -> Option<Response> {
        let end = kept.iter().position(|byte| *byte == b'\n')?;
        let head: Self = serde_json::from_slice(&kept[..end]).ok()?;
        let mut response = Response::new(Body::from(kept.slice(end + 1..)));
        *response.status_mut() = StatusCode::from_u16(head.status).ok()?;
        for (name, value) in head.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        Some(response)
    }
}

/// The digest of parts; their lengths keep "ab" + "c" and "a" + "bc" apart.
fn digest<const N: usize>(parts: [&[u8]; N]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Router, middleware, routing::post};
    use tokio::sync::Semaphore;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{app, config::Config};

    /// A route that counts how often it is asked, and answers as its body says.
    fn counting() -> (Router, Arc<AtomicUsize>, Arc<Semaphore>) {
        let config = crate::config::load(
            None,
            Vec::new(),
            &["stt.engine=openai", "tts.engine=scripted", "agent.engine=scripted"].map(str::to_owned),
        );
        let config: Config = config.unwrap().config;
        let app = app::app(&config, app::engines(&config).unwrap());
        let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
        let (count, wait) = (Arc::clone(&asked), Arc::clone(&gate));
        let answer = move |body: Bytes| async move {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            let _permit = wait.acquire().await;
            match &body[..] {
                b"fail" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                b"long" => (StatusCode::CREATED, vec![b'x'; ANSWER_BYTES_MAX + 1]).into_response(),
                _ => {
                    (StatusCode::CREATED, [(header::LOCATION, "/things/1")], format!("{number}: {} bytes", body.len()))
                        .into_response()
                }
            }
        };
        let layer = middleware::from_fn_with_state(app, once);
        let things = post(answer).layer(axum::extract::DefaultBodyLimit::disable());
        (Router::new().route("/things", things).layer(layer), asked, gate)
    }

    fn body_is_long(response: &Response) -> bool {
        response.body().size_hint().exact().is_some_and(|bytes| bytes > ANSWER_BYTES_MAX as u64)
    }

    async fn send(router: &Router, key: &str, kind: &str, body: impl Into<Body>) -> (u16, bool, String) {
        let request = Request::post("/things").header(IDEMPOTENCY_KEY, key).header(header::CONTENT_TYPE, kind);
        let response = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (status, again) = (response.status().as_u16(), response.headers().contains_key("idempotency-replayed"));
        let is_kept = status != 201 || body_is_long(&response) || response.headers().contains_key(header::LOCATION);
        assert!(is_kept, "an answer is repeated with its headers");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, again, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn the_same_request_is_done_once_and_answered_twice() {
        let (router, asked, _) = counting();
        let first = send(&router, "a", "text/plain", "make it").await;
        assert_eq!(first, (201, false, "1: 7 bytes".into()));
        assert_eq!(send(&router, "a", "text/plain", "make it").await, (201, true, "1: 7 bytes".into()));
        assert_eq!(send(&router, "b", "text/plain", "make it").await, (201, false, "2: 7 bytes".into()));
        let (status, _, problem) = send(&router, "a", "text/plain", "make that").await;
        assert!(status == 422 && problem.contains("idempotency_mismatch"), "{status} {problem}");
        assert_eq!(send(&router, "a", "text/html", "make it").await.0, 422);
        assert_eq!(send(&router, &"k".repeat(256), "text/plain", "make it").await.0, 400);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_request_in_work_is_not_begun_again() {
        let (router, asked, gate) = counting();
        gate.forget_permits(usize::MAX);
        let one = send(&router, "a", "text/plain", "make it");
        let other = async {
            while asked.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            let refused = send(&router, "a", "text/plain", "make it").await;
            gate.add_permits(1);
            refused
        };
        let (one, (status, _, problem)) = tokio::join!(one, other);
        assert_eq!(one.0, 201);
        assert!(status == 409 && problem.contains("in_progress"), "{status} {problem}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn failures_may_be_tried_again_and_long_answers_are_not_made_twice() {
        let (router, asked, _) = counting();
        assert_eq!(send(&router, "l", "text/plain", "long").await.0, 201);
        let (status, _, problem) = send(&router, "l", "text/plain", "long").await;
        assert!(status == 409 && problem.contains("already_done"), "{status} {problem}");
        assert_eq!(send(&router, "f", "text/plain", "fail").await.0, 500);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_large_body_arrives_whole_and_a_form_may_have_another_boundary() {
        let (router, asked, _) = counting();
        let length = 3 * COMPARED_BYTES + 5;
        let pieces = || {
            Body::from_stream(
                stream::iter((0..length).step_by(60_000))
                    .map(move |at| Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; 60_000.min(length - at)]))),
            )
        };
        assert_eq!(send(&router, "a", "text/plain", pieces()).await, (201, false, format!("1: {length} bytes")));
        assert!(send(&router, "a", "text/plain", pieces()).await.1);
        let form = |boundary: &str| {
            format!("--{boundary}\r\ncontent-disposition: form-data\r\n\r\nHello\r\n--{boundary}--\r\n")
        };
        assert!(!send(&router, "m", "multipart/form-data; boundary=one1", form("one1")).await.1);
        assert!(send(&router, "m", "multipart/form-data; boundary=two2", form("two2")).await.1);
        let other = form("two2").replace("Hello", "World");
        assert_eq!(send(&router, "m", "multipart/form-data; boundary=two2", other).await.0, 422);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
