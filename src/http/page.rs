//! The page at `/`, the console, the widget and its sound worklets: what `web-client/` is built into, embedded in the binary.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

/// The built files. A debug build reads them from disk, so that an edit needs no compiler. A checkout without Node has none,
/// and compiles all the same.
#[derive(RustEmbed)]
#[folder = "web-client/dist/"]
#[allow_missing = true]
#[include = "*.html"]
#[include = "*.css"]
#[include = "*.js"]
#[include = "*.svg"]
struct Files;

/// Nothing but our own files, our own socket and text: no inline script or style, no string that becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'self'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The same for the console. It plays sound, which it has to fetch itself where it shows a key; and no page may frame it, because
/// it has buttons that delete.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                              media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                              require-trusted-types-for 'script'; trusted-types 'none'";

const CONSOLE: &str = "console.html";

/// What a page of ours may ask the browser for.
const PERMISSIONS: &str = "microphone=(self), screen-wake-lock=(self), speaker-selection=(self), autoplay=(self), \
                           camera=(), geolocation=(), payment=(), usb=()";

const UNBUILT: &str = "Floe runs, but its page was not built into it. In its source folder, \
                       `make run` builds both (`make web` only the page).\n";

/// `/`.
pub(super) async fn index(headers: HeaderMap) -> Response {
    page("index.html", &headers)
}

/// `/console`. Where in it somebody is stands behind `#`, which browsers keep to themselves.
pub(super) async fn console(headers: HeaderMap) -> Response {
    page(CONSOLE, &headers)
}

fn page(path: &str, headers: &HeaderMap) -> Response {
    Files::get(path).map_or_else(|| (StatusCode::NOT_FOUND, UNBUILT).into_response(), |file| serve(path, file, headers))
}

/// Any other file of the page.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    Files::get(&path).map_or_else(
        || (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response(),
        |file| serve(&path, file, &headers),
    )
}

/// One file, or word that the browser's copy is good. Names are stable, so every use asks.
fn serve(path: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let kind = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let policy = if path == CONSOLE { CONSOLE_POLICY } else { POLICY };
    let tag = tag(&file);
    let has_it = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = if has_it {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], file.data).into_response()
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert("permissions-policy", HeaderValue::from_static(PERMISSIONS));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !kind.starts_with("text/html") {
        // The widget is made for the pages of others. There is no secret in it, and browsers send no cookie for it.
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    }
    response
}

/// The first half of its SHA-256, quoted.
fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}
