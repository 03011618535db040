//! The recording as it comes: a form, or the file itself, read piece by piece, with its limits kept while it comes.

use std::time::Duration;

use axum::{
    extract::{
        FromRequest as _, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time;

use super::{Problem, wanted::Wanted};
use crate::http::App;

/// Reads the file, and the form's fields into `wanted`.
pub(super) async fn read(app: &App, request: Request, wanted: &mut Wanted) -> Result<Bytes, Problem> {
    let bytes_max = app.openai.upload_bytes_max;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: usize| bytes > bytes_max.saturating_add(FORM_BYTES_MAX)) {
        return Err(too_large(bytes_max));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let reading = async {
        match essence.as_str() {
            "multipart/form-data" => form(request, wanted, bytes_max).await,
            "application/octet-stream" | "application/ogg" | "video/mp4" | "video/webm" | "video/ogg" => {
                raw(request, bytes_max).await
            }
            audio if audio.starts_with("audio/") => raw(request, bytes_max).await,
            _ => {
                let detail = "Send the recording as multipart/form-data in a field named \"file\", or as it is, with \
                              content-type audio/… or application/octet-stream.";
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
            }
        }
    };
    let patience = Duration::from_millis(app.openai.upload_timeout_ms);
    let file = time::timeout(patience, reading).await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "upload_timeout", "The upload took too long."))
    })?;
    if file.is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "empty_file", "The file is empty."));
    }
    Ok(file)
}

/// The body is the file.
async fn raw(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut pieces = request.into_body().into_data_stream();
    let mut file = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| broken())?;
        if file.len() + piece.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        file.extend_from_slice(&piece);
    }
    Ok(file.freeze())
}

async fn form(request: Request, wanted: &mut Wanted, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(|error| lost(&error, bytes_max))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            if file.is_some() {
                return Err(Problem::bad_request("There is more than one file in this form."));
            }
            file = Some(bytes(field, bytes_max, bytes_max).await?.ok_or_else(|| too_large(bytes_max))?);
            continue;
        }
        let value = bytes(field, TEXT_BYTES_MAX, bytes_max).await?;
        let text = value.and_then(|value| String::from_utf8(value.to_vec()).ok());
        let wrong = || Problem::bad_request(format!("A field is text in UTF-8, of at most {TEXT_BYTES_MAX} bytes."));
        wanted.set(&name, text.ok_or_else(wrong)?)?;
    }
    let missing = "There is no file in this form. Send it in a field named \"file\".";
    file.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "missing_file", missing))
}

/// A whole field; `None` if it has more than `max` bytes.
async fn bytes(mut field: Field<'_>, max: usize, bytes_max: usize) -> Result<Option<Bytes>, Problem> {
    let mut read = BytesMut::new();
    while let Some(piece) = field.chunk().await.map_err(|error| lost(&error, bytes_max))? {
        if read.len() + piece.len() > max {
            return Ok(None);
        }
        read.extend_from_slice(&piece);
    }
    Ok(Some(read.freeze()))
}

fn lost(error: &MultipartError, bytes_max: usize) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE { too_large(bytes_max) } else { broken() }
}

fn broken() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "upload_broken", "The upload is malformed, or ended too early.")
}

fn too_large(max: usize) -> Problem {
    let detail = format!("The file has more than {max} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", detail)
}

/// What the other fields of a form, and the form around them, may have.
pub(super) const FORM_BYTES_MAX: usize = 1 << 20;

/// The largest field beside the file: [`Wanted::instructions`], of characters of four bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
