//! The form of a transcription: read piece by piece, with its limits kept while it comes.

use std::time::Duration;

use axum::{
    extract::{FromRequest as _, Multipart, Request, multipart::Field},
    http::{StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use tokio::time;

use super::{Problem, models};
use crate::{http::App, protocol::openai::ErrorObject};

/// What the form says.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) file: Bytes,
    pub(super) model: String,
    pub(super) language: Option<String>,
    pub(super) response_format: Option<String>,
    pub(super) granularities: Vec<String>,
    pub(super) stream: bool,
}

/// Reads a form. Fields that we do not know are ignored.
pub(super) async fn read(app: &App, request: Request) -> Result<Form, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes_max = app.openai.upload_bytes_max;
    if announced.is_some_and(|bytes: usize| bytes > bytes_max.saturating_add(super::FORM_BYTES_MAX)) {
        return Err(too_large(bytes_max));
    }
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| {
        let message = "Send the file as multipart/form-data, in a field named \"file\".";
        let error = ErrorObject::invalid("unsupported_media_type", message);
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error)
    })?;
    let patience = Duration::from_millis(app.openai.upload_timeout_ms);
    match time::timeout(patience, fields(&mut form, bytes_max)).await {
        Ok(form) => form,
        Err(_elapsed) => {
            let error = ErrorObject::invalid("upload_timeout", "The upload took too long.");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, error))
        }
    }
}

async fn fields(form: &mut Multipart, bytes_max: usize) -> Result<Form, Problem> {
    let mut read = Form { model: models::REALTIME.to_owned(), ..Form::default() };
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error, bytes_max))? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" => file = Some(bytes(field, "file", bytes_max, bytes_max).await?),
            "model" => read.model = text(field, &name, bytes_max).await?,
            "language" => read.language = Some(text(field, &name, bytes_max).await?).filter(|tag| !tag.is_empty()),
            "response_format" => read.response_format = Some(text(field, &name, bytes_max).await?),
            "timestamp_granularities" | "timestamp_granularities[]" => {
                read.granularities.push(text(field, &name, bytes_max).await?);
            }
            "stream" => read.stream = flag(&text(field, &name, bytes_max).await?)?,
            "temperature" => temperature(&text(field, &name, bytes_max).await?)?,
            // Known to OpenAI (prompt, include, chunking_strategy, …), and nothing that changes what our recogniser does.
            _ => drop(bytes(field, &name, super::FORM_BYTES_MAX, bytes_max).await?),
        }
    }
    let missing = "There is no file in this form. Send it in a field named \"file\".";
    read.file = file.ok_or_else(|| Problem::bad(ErrorObject::invalid("missing_file", missing).about("file")))?;
    if read.file.is_empty() {
        return Err(Problem::bad(ErrorObject::invalid("empty_file", "The file is empty.").about("file")));
    }
    Ok(read)
}

async fn text(field: Field<'_>, name: &str, bytes_max: usize) -> Result<String, Problem> {
    let bytes = bytes(field, name, TEXT_BYTES_MAX, bytes_max).await?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Problem::value(name, format!("{name} is not UTF-8.")))
}

/// A whole field of at most `max` bytes.
async fn bytes(mut field: Field<'_>, name: &str, max: usize, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut read = BytesMut::new();
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error, bytes_max))? {
        if read.len() + piece.len() > max {
            return Err(if name == "file" {
                too_large(max)
            } else {
                Problem::value(name, format!("{name} has at most {max} bytes."))
            });
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

fn flag(text: &str) -> Result<bool, Problem> {
    match text {
        "true" | "True" | "1" => Ok(true),
        "false" | "False" | "0" | "" => Ok(false),
        _ => Err(Problem::value("stream", "stream is true or false.")),
    }
}

/// Checked, and of no consequence: recognition here is always greedy.
fn temperature(text: &str) -> Result<(), Problem> {
    match text.parse::<f32>() {
        Ok(temperature) if (0.0..=1.0).contains(&temperature) => Ok(()),
        _ => Err(Problem::value("temperature", "temperature is between 0 and 1.")),
    }
}

fn broken(error: &axum::extract::multipart::MultipartError, bytes_max: usize) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(bytes_max);
    }
    Problem::bad(ErrorObject::invalid("invalid_form", "The form is broken, or ended too early."))
}

fn too_large(max: usize) -> Problem {
    let error = ErrorObject::invalid("file_too_large", format!("The file has more than {max} bytes.")).about("file");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error)
}

/// The largest of the fields that are read as texts.
const TEXT_BYTES_MAX: usize = 4 * 1024;
