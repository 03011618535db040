//! `GET /v1/models`: what there is. Any other name is accepted as well, and means the same.

use axum::{
    Json,
    extract::{Path, Request, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{Problem, key_holder};
use crate::{auth::Scopes, http::openapi::Keyed, protocol::openai::ErrorObject};

/// The model of a conversation whose client names none.
pub(super) const REALTIME: &str = "floe-realtime";

/// One for each thing that can be done.
const MODELS: [&str; 3] = [REALTIME, "floe-transcribe", "floe-speech"];

#[derive(Serialize, utoipa::ToSchema)]
struct Model {
    id: &'static str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// What there is.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Models)]
struct List {
    object: &'static str,
    data: Vec<Model>,
}

/// When the first of them was made, in seconds since 1970: clients want a number.
const CREATED: u64 = 1_795_000_000;

const fn model(id: &'static str) -> Model {
    Model { id, object: "model", created: CREATED, owned_by: "floe" }
}

#[utoipa::path(
    get, path = "/models", operation_id = "list_models", tag = "openai", summary = "What there is",
    responses((status = 200, description = "The models", body = List), Keyed),
)]
pub(super) async fn list(request: Request) -> Result<Response, Problem> {
    key_holder(request.extensions(), Scopes::NONE)?;
    Ok(Json(List { object: "list", data: MODELS.into_iter().map(model).collect() }).into_response())
}

#[utoipa::path(
    get, path = "/models/{id}", operation_id = "read_model", tag = "openai", summary = "One model",
    params(("id" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The model", body = Model), Keyed,
        (status = 404, description = "There is none of this name", body = crate::protocol::openai::ErrorBody),
    ),
)]
pub(super) async fn one(path: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    key_holder(request.extensions(), Scopes::NONE)?;
    let named = path.ok().and_then(|Path(id)| MODELS.into_iter().find(|known| *known == id));
    match named {
        Some(known) => Ok(Json(model(known)).into_response()),
        None => {
            let message = format!("There is no model of this name here; there are {}.", MODELS.join(", "));
            Err(Problem::new(StatusCode::NOT_FOUND, ErrorObject::invalid("model_not_found", message).about("model")))
        }
    }
}
