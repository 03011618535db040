//! Browsers that log in: `/login`, `/login/callback`, `/logout`, and the cookies of it.
//!
//! The cookie is `__Host-…; Secure; HttpOnly; SameSite=Lax`: no other host sets or gets it, no script reads it, and other pages'
//! requests carry it only when they lead here by a GET, which changes nothing. What changes something needs more: the browser's own
//! word (`Sec-Fetch-Site`, or an older one's `Origin`) that one of our pages sent it. Sockets do not look at cookies at all.

use axum::{
    Form,
    extract::{
        Query, State,
        rejection::{FormRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cookie::{Cookie, SameSite};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{App, auth::Refused, socket::origin_is_own};
use crate::auth::{
    Identities, NewLogin, Role,
    oidc::{ATTEMPT_S, Attempt, Provider, Returned, Trouble},
};

/// The cookie of a login.
pub(super) const SESSION: &str = "__Host-floe_session";

/// The cookie of a login that is under way: sealed, so that only this installation reads it.
const UNDER_WAY: &str = "__Host-floe_login";

/// For whom that is sealed.
const SEALED_FOR: &str = "login under way";

/// Where to go after it.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(rename = "return")]
    return_to: Option<String>,
}

/// A key, as a page sends it.
#[derive(Deserialize)]
pub(super) struct Shown {
    key: String,
    #[serde(rename = "return")]
    return_to: Option<String>,
}

/// `GET /login?return=/path`: to the identity provider. Where nothing has to be shown, straight on.
pub(super) async fn begin(State(app): State<App>, wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    let return_to = place(wanted.ok().and_then(|Query(wanted)| wanted.return_to));
    if !app.door.is_locked {
        return go(&return_to);
    }
    let (identities, provider) = match both(&app) {
        Ok(both) => both,
        Err(why) => return sentence(StatusCode::NOT_FOUND, why),
    };
    let (url, attempt) = match provider.begin_login(return_to).await {
        Ok(begun) => begun,
        Err(trouble) => return refuse(&trouble),
    };
    let sealed = serde_json::to_string(&attempt).ok().and_then(|json| identities.seal(SEALED_FOR, &json).ok());
    let Some(sealed) = sealed else { return sentence(StatusCode::INTERNAL_SERVER_ERROR, "The login cannot begin.") };
    let mut response = go(url.as_str());
    set_cookie(&mut response, UNDER_WAY, BASE64_URL_SAFE_NO_PAD.encode(sealed), ATTEMPT_S);
    response
}

/// `POST /login` with a key in a form: for operators without an identity provider. The login ends with its key.
pub(super) async fn with_key(
    State(app): State<App>,
    headers: HeaderMap,
    form: Result<Form<Shown>, FormRejection>,
) -> Response {
    let Some(identities) = &app.door.identities else {
        return sentence(StatusCode::NOT_FOUND, NOTHING_KEPT);
    };
    if !is_same_site(&headers) {
        return sentence(StatusCode::FORBIDDEN, &Refused::CrossSite.to_string());
    }
    let Ok(Form(Shown { key, return_to })) = form else {
        return sentence(StatusCode::BAD_REQUEST, "Send a form with a field named \"key\".");
    };
    let who = match app.door.key_holder(&key).await {
        Ok(who) => who,
        Err(Refused::Unavailable) => {
            return sentence(StatusCode::SERVICE_UNAVAILABLE, &Refused::Unavailable.to_string());
        }
        Err(refused) => return sentence(StatusCode::UNAUTHORIZED, &refused.to_string()),
    };
    let new = NewLogin {
        tenant: who.tenant,
        user: who.user,
        role: who.role,
        scopes: who.scopes,
        expires_at_ms: who.credential.expires_at_ms,
        credential: Some(who.credential.id),
        refresh: None,
    };
    log_in(identities, &headers, new, &place(return_to)).await
}

/// `GET /login/callback`: back from the identity provider.
pub(super) async fn callback(
    State(app): State<App>,
    headers: HeaderMap,
    returned: Result<Query<Returned>, QueryRejection>,
) -> Response {
    let (identities, provider) = match both(&app) {
        Ok(both) => both,
        Err(why) => return sentence(StatusCode::NOT_FOUND, why),
    };
    let attempt: Option<Attempt> = cookie(&headers, UNDER_WAY).and_then(|cookie| {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?;
        serde_json::from_str(identities.open(SEALED_FOR, &sealed)?.expose_secret()).ok()
    });
    let (Some(attempt), Ok(Query(returned))) = (attempt, returned) else {
        return refuse(&Trouble::Wrong("this login was not begun in this browser, or took too long"));
    };
    let mut response = match provider.finish_login(&attempt, returned).await {
        Ok((who, refresh)) => {
            let new = NewLogin {
                tenant: who.tenant,
                user: Some(who.user),
                role: who.role,
                scopes: who.role.scopes(),
                credential: None,
                expires_at_ms: None,
                refresh,
            };
            log_in(identities, &headers, new, &attempt.return_to).await
        }
        Err(trouble) => refuse(&trouble),
    };
    set_cookie(&mut response, UNDER_WAY, String::new(), 0);
    response
}

/// `POST /logout`: ends the login, with the conversations that go on with it, and leads to where the provider says goodbye.
pub(super) async fn end(State(app): State<App>, headers: HeaderMap) -> Response {
    if !is_same_site(&headers) {
        return sentence(StatusCode::FORBIDDEN, &Refused::CrossSite.to_string());
    }
    if let (Some(identities), Some(cookie)) = (&app.door.identities, cookie(&headers, SESSION))
        && let Err(error) = identities.log_out(&cookie).await
    {
        tracing::warn!(%error, "a login could not be ended");
        return sentence(StatusCode::SERVICE_UNAVAILABLE, "The login cannot be ended at the moment. Try again.");
    }
    let farewell = match app.door.provider.as_ref().filter(|provider| provider.has_login()) {
        Some(provider) => provider.farewell("/").await,
        None => None,
    };
    let mut response = go(farewell.as_ref().map_or("/", |url| url.as_str()));
    set_cookie(&mut response, SESSION, String::new(), 0);
    response
}

async fn log_in(identities: &Identities, headers: &HeaderMap, new: NewLogin, return_to: &str) -> Response {
    if new.role == Role::Device {
        return sentence(StatusCode::FORBIDDEN, "A ticket or client secret opens sessions and nothing else.");
    }
    if let Some(before) = cookie(headers, SESSION)
        && let Err(error) = identities.log_out(&before).await
    {
        tracing::warn!(%error, "the login before could not be ended");
    }
    match identities.log_in(new).await {
        Ok((cookie, seconds)) => {
            let mut response = go(return_to);
            set_cookie(&mut response, SESSION, cookie, seconds);
            response
        }
        Err(error) => {
            tracing::warn!(%error, "nobody can log in");
            sentence(StatusCode::SERVICE_UNAVAILABLE, "Nobody can log in at the moment. Try again.")
        }
    }
}

/// What a login by the provider needs, or why there is none.
fn both(app: &App) -> Result<(&Identities, &Provider), &'static str> {
    let provider = app.door.provider.as_ref().filter(|provider| provider.has_login());
    let provider = provider.ok_or("Nobody logs in here by an identity provider: auth.oidc.client_id is not set.")?;
    app.door.identities.as_ref().map(|identities| (identities, provider)).ok_or(NOTHING_KEPT)
}

const NOTHING_KEPT: &str = "Nobody logs in here: no keys are needed, or there is no database to keep logins in.";

fn refuse(trouble: &Trouble) -> Response {
    let status = match trouble {
        Trouble::Wrong(_) => StatusCode::BAD_REQUEST,
        Trouble::NotAllowed => StatusCode::FORBIDDEN,
        Trouble::Away(_) => StatusCode::BAD_GATEWAY,
    };
    sentence(status, &format!("Not logged in: {trouble}."))
}

fn sentence(status: StatusCode, text: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, format!("{text}\n")).into_response()
}

/// To another page, by a GET.
fn go(place: &str) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    let mut response = (StatusCode::SEE_OTHER, headers).into_response();
    if let Ok(place) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// A place of ours to go to; anything else leads to the first page.
fn place(wanted: Option<String>) -> String {
    let is_ours = |path: &String| {
        // Browsers read `\` as `/`, and leave out line feeds and tabs: `//` and its likes lead elsewhere.
        let is_plain = path.len() <= 1_024 && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        is_plain && path.starts_with('/') && !path.starts_with("//")
    };
    wanted.filter(is_ours).unwrap_or_else(|| "/".to_owned())
}

/// Whether a browser says that one of our own pages sent this.
pub(super) fn is_same_site(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        // Browsers before 2023. They say the origin of whatever changes something.
        None => headers.contains_key(header::ORIGIN) && origin_is_own(headers),
    }
}

/// What a cookie holds.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = all.flat_map(Cookie::split_parse).filter_map(Result::ok).filter(|cookie| cookie.name() == name);
    found.next().map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

/// Sets a cookie for so many seconds; 0 takes it away.
fn set_cookie(response: &mut Response, name: &'static str, value: String, seconds: i64) {
    let cookie = Cookie::build((name, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(cookie::time::Duration::seconds(seconds));
    if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_places_are_gone_to() {
        for good in ["/", "/console", "/console/conversations?q=a%20b#c"] {
            assert_eq!(place(Some(good.into())), good);
        }
        for bad in
            ["", "console", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/\t/evil", "/é"]
        {
            assert_eq!(place(Some(bad.into())), "/", "{bad:?}");
        }
        assert_eq!(place(Some(format!("/{}", "a".repeat(1_024)))), "/");
    }

    #[test]
    fn another_sites_page_is_known_by_what_the_browser_says() {
        let of = |all: &[(&'static str, &'static str)]| -> HeaderMap {
            all.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
        };
        let host = ("host", "floe.example");
        assert!(is_same_site(&of(&[host, ("sec-fetch-site", "same-origin")])));
        assert!(is_same_site(&of(&[host, ("origin", "https://floe.example")])));
        for foreign in [
            &[host][..],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "https://floe.example")],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "null")],
        ] {
            assert!(!is_same_site(&of(foreign)), "{foreign:?}");
        }
    }

    #[test]
    fn cookies_are_found_and_set_for_this_host_alone() {
        let headers = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::from_static("a=b; __Host-floe_session=word; floe_session=other"),
        )]);
        assert_eq!(cookie(&headers, SESSION).as_deref(), Some("word"));
        assert_eq!(cookie(&HeaderMap::new(), SESSION), None);
        let mut response = go("/");
        set_cookie(&mut response, SESSION, "word".into(), 60);
        let set = response.headers()[header::SET_COOKIE].to_str().unwrap();
        for part in ["__Host-floe_session=word", "HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=60"] {
            assert!(set.contains(part), "{part} is not in {set}");
        }
        assert!(!set.contains("Domain"), "{set}");
    }
}
