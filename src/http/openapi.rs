//! `/openapi.json`, made of the types that answer, and the page at `/docs` that shows it, served by ourselves.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::Response,
    routing::get,
};
use utoipa::{
    IntoResponses, OpenApi, ToSchema,
    openapi::{
        self, Content, Ref, RefOr,
        response::ResponseBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{App, api::Problem};
use crate::protocol::openai::ErrorBody;

/// Floe
///
/// Conversations, recordings and what OpenAI's clients find. The sockets (`/v1/stream`, `/v1/realtime`) are described in
/// docs/protocol.md and docs/realtime.md.
#[derive(OpenApi)]
#[openapi(
    components(schemas(Problem, ErrorBody)),
    tags(
        (name = "voice", description = "A recording through a whole conversation"),
        (name = "native", description = "For clients of `/v1/stream`"),
        (name = "keys", description = "API keys, for admins. Errors are problem+json (RFC 9457)"),
        (name = "conversations", description = "What was said. Errors are problem+json (RFC 9457)"),
        (name = "jobs", description = "Work that goes on after a conversation"),
        (name = "webhooks", description = "Events, sent to others. docs/webhooks.md"),
        (name = "privacy", description = "Export, erasure, and who read what"),
        (name = "openai", description = "For programs written against OpenAI's API"),
    ),
)]
struct Floe;

/// The document before any route is in it.
pub(super) fn document() -> openapi::OpenApi {
    let mut document = Floe::openapi();
    document.info.title = "Floe".to_owned();
    document.info.contact = None;
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key (floe_…), a key of server.keys, or an access token of auth.oidc.issuer; none is needed where auth.mode is none"));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(bearer.build()));
    // With a key, or where none is needed without.
    document.security =
        Some(vec![SecurityRequirement::new("key", Vec::<String>::new()), SecurityRequirement::default()]);
    document
}

/// A router with routes that no document can know of, such as fallbacks, beside those that it does.
pub(super) fn documented(router: Router<App>, document: openapi::OpenApi) -> OpenApiRouter<App> {
    let mut both = OpenApiRouter::from(router);
    *both.get_openapi_mut() = document;
    both
}

/// The document and its page.
pub(super) fn routes(document: openapi::OpenApi) -> Router<App> {
    let page = SwaggerUi::new("/docs").config(
        // Nothing is sent elsewhere to be validated.
        Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true).display_request_duration(true),
    );
    let page = Router::from(page).layer(middleware::map_response(strictly));
    Router::new().route("/openapi.json", get(move || std::future::ready(Json(document.clone())))).merge(page)
}

/// Its own scripts and styles, its own server, and nothing else. (It writes styles into its elements.)
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

async fn strictly(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The bytes of a file: no list of numbers.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "never made; the description of a body")]
pub(super) struct Binary(Vec<u8>);

/// A server-sent event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "written as text; the description of one event")]
pub(super) struct Event {
    /// Its name; `message` if it has none.
    event: String,
    /// JSON.
    data: String,
}

type Responses = BTreeMap<String, RefOr<openapi::Response>>;

fn refusals(kind: &str, schema: &str, all: &[(StatusCode, &str)]) -> Responses {
    let response = |(status, description): &(StatusCode, &str)| {
        let content = Content::new(Some(Ref::from_schema_name(schema)));
        let response = ResponseBuilder::new().description(*description).content(kind, content);
        (status.as_str().to_owned(), RefOr::T(response.build()))
    };
    all.iter().map(response).collect()
}

fn problems(all: &[(StatusCode, &str)]) -> Responses {
    refusals("application/problem+json", "Problem", all)
}

fn errors(all: &[(StatusCode, &str)]) -> Responses {
    refusals("application/json", "ErrorBody", all)
}

/// What everything under `/api` may answer.
pub(super) struct Guarded;

impl IntoResponses for Guarded {
    fn responses() -> Responses {
        problems(&[
            (StatusCode::BAD_REQUEST, "A parameter is unknown, missing or wrong"),
            (StatusCode::UNAUTHORIZED, "A key is needed, and there was none or a wrong one"),
            (StatusCode::FORBIDDEN, "A client secret, a key without the scope or role, or a page of another origin"),
            (
                StatusCode::TOO_MANY_REQUESTS,
                "More than `server.requests_per_minute`; `Retry-After` says when to come again",
            ),
        ])
    }
}

/// What everything that reads the store may answer besides.
pub(super) struct Stored;

impl IntoResponses for Stored {
    fn responses() -> Responses {
        problems(&[
            (StatusCode::NOT_FOUND, "There is none, or nothing is kept (`not_kept`)"),
            (StatusCode::SERVICE_UNAVAILABLE, "The database does not answer; `Retry-After` says when to come again"),
        ])
    }
}

/// What a range of a file may come to besides.
pub(super) struct Ranged;

impl IntoResponses for Ranged {
    fn responses() -> Responses {
        problems(&[(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "The file has no such bytes; `Content-Range` says how many it has",
        )])
    }
}

/// What a recording may come to besides.
pub(super) struct Uploaded;

impl IntoResponses for Uploaded {
    fn responses() -> Responses {
        problems(&[
            (StatusCode::BAD_REQUEST, "A parameter is wrong, the file is missing or empty, or the upload broke off"),
            (
                StatusCode::CONFLICT,
                "The first request with this `Idempotency-Key` is not answered yet, or cannot be answered twice",
            ),
            (StatusCode::NOT_ACCEPTABLE, "`Accept` names nothing that is made here"),
            (StatusCode::REQUEST_TIMEOUT, "The upload took longer than `server.openai.upload_timeout_ms`"),
            (
                StatusCode::PAYLOAD_TOO_LARGE,
                "More bytes than `server.openai.upload_bytes_max`, or more audio than `server.openai.upload_audio_s_max`",
            ),
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "It is no audio, whatever it says, or in a codec that is not built in",
            ),
            (
                StatusCode::UNPROCESSABLE_ENTITY,
                "Damaged audio; speech was asked for and there is none (`nothing_spoken`); or this `Idempotency-Key` named \
                 another request",
            ),
            (StatusCode::INTERNAL_SERVER_ERROR, "An engine failed"),
            (StatusCode::SERVICE_UNAVAILABLE, "Every place is taken; `Retry-After` says when to come again"),
            (StatusCode::GATEWAY_TIMEOUT, "An engine did not answer in time"),
        ])
    }
}

/// What everything under `/v1` may answer.
pub(super) struct Keyed;

impl IntoResponses for Keyed {
    fn responses() -> Responses {
        errors(&[
            (StatusCode::UNAUTHORIZED, "A key is needed, and there was none or a wrong one"),
            (
                StatusCode::FORBIDDEN,
                "A client secret, which opens sockets and nothing else, or a key without the scope",
            ),
            (StatusCode::SERVICE_UNAVAILABLE, "Keys cannot be checked, because the database does not answer"),
            (
                StatusCode::TOO_MANY_REQUESTS,
                "More than `server.requests_per_minute`; `Retry-After` says when to come again",
            ),
        ])
    }
}

/// What a JSON body may come to.
pub(super) struct Said;

impl IntoResponses for Said {
    fn responses() -> Responses {
        errors(&[
            (StatusCode::BAD_REQUEST, "The body is no JSON, or a field of it is wrong (`param` says which)"),
            (StatusCode::PAYLOAD_TOO_LARGE, "The body is not complete, or too large"),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body says that it is no JSON"),
        ])
    }
}

/// What a job may come to: a file transcribed, a text read out.
pub(super) struct Worked;

impl IntoResponses for Worked {
    fn responses() -> Responses {
        errors(&[
            (StatusCode::BAD_REQUEST, "A field is wrong (`param` says which), or the file is damaged"),
            (StatusCode::REQUEST_TIMEOUT, "The upload took too long"),
            (StatusCode::PAYLOAD_TOO_LARGE, "Too many bytes, or too much audio"),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Neither a form nor JSON, or no audio that is known here"),
            (StatusCode::INTERNAL_SERVER_ERROR, "An engine failed"),
            (StatusCode::SERVICE_UNAVAILABLE, "Every place is taken; `Retry-After` says when to come again"),
            (StatusCode::GATEWAY_TIMEOUT, "An engine did not answer in time"),
        ])
    }
}
