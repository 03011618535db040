//! The access matrix: every route and every socket, asked by everybody who could ask. One row each; a route without a row fails.

use std::{collections::BTreeSet, time::Duration};

use floe::{
    auth::{Identities, Live, NewKey, Role, Scopes},
    config::Config,
    ids::SessionId,
    store::{
        Recorder, Store,
        record::{Change, Closing, ItemRow, Opening},
    },
};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::routes::client;
use crate::support::{
    duplex::{engines, hello, rhythm},
    server::Server,
};

/// Who asks. The columns of the matrix, in this order.
const COLUMNS: [&str; 10] = [
    "anonymous",
    "wrong key",
    "expired",
    "revoked",
    "other user",
    "other tenant",
    "device",
    "owner",
    "admin",
    "write alone",
];

/// Statuses, column by column. `X` stands for what foreign and missing things get.
const PUBLIC: [u16; 10] = [200; 10];
const OPEN: [u16; 10] = [401, 401, 401, 401, 200, 200, 403, 200, 200, 403];
const THINGS: [u16; 10] = [401, 401, 401, 401, 404, 404, 403, 200, 200, 403];
const ADMINS: [u16; 10] = [401, 401, 401, 401, 403, 200, 403, 403, 200, 403];

/// One row: what is asked, and what each column gets.
struct Row {
    ask: &'static str,
    statuses: [u16; 10],
}

const fn row(ask: &'static str, statuses: [u16; 10]) -> Row {
    Row { ask, statuses }
}

/// `OK`, whatever the right answer to a good request is here.
const fn with(ok: u16, like: [u16; 10]) -> [u16; 10] {
    let mut statuses = like;
    let mut at = 0;
    while at < statuses.len() {
        if statuses[at] == 200 {
            statuses[at] = ok;
        }
        at += 1;
    }
    statuses
}

/// Everything under `/api/v1` and `/v1` asks for something; pages, health and the document do not. Bodies are sent empty, so that
/// a good request ends where its body would be read: 400 and 415 mean "let in".
const MATRIX: &[Row] = &[
    row("GET /api/v1/conversations", OPEN),
    row("GET /api/v1/conversations/{id}", THINGS),
    row("GET /api/v1/conversations/{id}/transcript", THINGS),
    row("GET /api/v1/conversations/{id}/audio", THINGS),
    // Nothing was recorded.
    row("GET /api/v1/conversations/{id}/audio/{track}", with(404, THINGS)),
    // The owner's own is deleted by the owner; the admin then meets what is gone.
    row("DELETE /api/v1/conversations/{id}", [401, 401, 401, 401, 404, 404, 403, 204, 404, 404]),
    row("GET /api/v1/search", with(400, OPEN)),
    row("GET /api/v1/usage", OPEN),
    row("GET /api/v1/jobs", ADMINS),
    row("GET /api/v1/jobs/{id}", with(404, ADMINS)),
    row("POST /api/v1/jobs/{id}/retry", with(404, ADMINS)),
    row("GET /api/v1/webhooks", ADMINS),
    row("POST /api/v1/webhooks", with(400, ADMINS)),
    row("GET /api/v1/webhooks/{id}", with(404, ADMINS)),
    row("DELETE /api/v1/webhooks/{id}", with(404, ADMINS)),
    row("POST /api/v1/webhooks/{id}/test", with(404, ADMINS)),
    row("GET /api/v1/audit", ADMINS),
    // Users may have everything of their own, and ask to be forgotten: here a user who is none of those who ask.
    row("GET /api/v1/users/ann/export", [401, 401, 401, 401, 404, 200, 403, 200, 200, 403]),
    row("DELETE /api/v1/users/carl", [401, 401, 401, 401, 404, 202, 403, 404, 202, 404]),
    row("GET /api/v1/keys", ADMINS),
    row("POST /api/v1/keys", with(415, [401, 401, 401, 401, 403, 200, 403, 403, 200, 403])),
    // Another tenant's admin does not find our keys.
    row("DELETE /api/v1/keys/{id}", [401, 401, 401, 401, 403, 404, 403, 403, 204, 403]),
    row("POST /api/voice/process", with(415, OPEN)),
    row("GET /v1/models", [401, 401, 401, 401, 200, 200, 403, 200, 200, 200]),
    row("GET /v1/models/{id}", [401, 401, 401, 401, 404, 404, 403, 404, 404, 404]),
    row("POST /v1/audio/speech", with(400, OPEN)),
    row("POST /v1/audio/transcriptions", with(415, OPEN)),
    row("POST /v1/realtime/client_secrets", OPEN),
    row("POST /v1/realtime/sessions", OPEN),
    row("POST /v1/realtime/transcription_sessions", OPEN),
    row("POST /v1/stream/tickets", OPEN),
    row("DELETE /v1/stream/tickets/{id}", with(404, OPEN)),
    // Sockets. A device's ticket is for the one of `floe.v1`; its client secret opens both.
    row("SOCKET /v1/stream", [401, 401, 401, 401, 101, 101, 101, 101, 101, 403]),
    row("SOCKET /v1/realtime", [401, 401, 401, 401, 101, 101, 101, 101, 101, 403]),
    row("SOCKET /realtime", [401, 401, 401, 401, 101, 101, 101, 101, 101, 403]),
    row("SOCKET /openai/realtime", [401, 401, 401, 401, 101, 101, 101, 101, 101, 403]),
    row("SOCKET /openai/v1/realtime", [401, 401, 401, 401, 101, 101, 101, 101, 101, 403]),
    // Going on with a stored conversation: close codes instead of statuses, 0 for "welcome".
    row("GOING_ON /v1/stream", [401, 401, 401, 401, 4404, 4404, 4404, 0, 0, 403]),
    // Nobody logs in by a provider here, and there is nobody to log out.
    row("GET /login", [404; 10]),
    row("POST /login", [403; 10]),
    row("GET /login/callback", [404; 10]),
    row("POST /logout", [403; 10]),
    row("GET /", PUBLIC),
    row("GET /console", PUBLIC),
    row("GET /docs/", PUBLIC),
    row("GET /openapi.json", PUBLIC),
    row("GET /livez", PUBLIC),
    row("GET /readyz", PUBLIC),
    row("GET /metrics", PUBLIC),
];

/// A server with two tenants, and what each column shows.
struct World {
    _dir: tempfile::TempDir,
    server: Server,
    identities: Identities,
    recorder: Recorder,
    keys: [Option<String>; 10],
    /// A key of the admin's tenant, to be revoked.
    spare: String,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.dir = dir.path().join("server");
        config.auth.mode = floe::auth::Mode::Keys;
        config.auth.secret = "the same secret for the server and for this test".into();
        let store = Store::open(&config.store).await.unwrap().unwrap();
        let identities = Identities::new(store.clone(), &config.auth, dir.path(), Live::default()).unwrap();
        // A recorder of its own directory on the same database: as another server would.
        let other =
            floe::store::Config { dir: dir.path().join("other"), path: config.store.file(), ..config.store.clone() };
        let (recorder, running) = Recorder::start(Store::open(&other).await.unwrap().unwrap()).await.unwrap();
        std::mem::forget(running);
        let make = async |tenant: &str, user: Option<&str>, name: &str, role: Role, scopes: Scopes, ms: Option<i64>| {
            let new = NewKey {
                tenant: tenant.into(),
                user: user.map(str::to_owned),
                name: name.into(),
                role,
                scopes,
                expires_at_ms: ms.map(|ms| now_ms() + ms),
            };
            identities.make_key(new).await.unwrap()
        };
        let member = Role::Member.scopes();
        let expired = make("us", Some("ann"), "expired", Role::Member, member, Some(300)).await.key;
        let revoked = make("us", Some("ann"), "revoked", Role::Member, member, None).await;
        assert!(identities.revoke_key("us", revoked.row.id).await.unwrap());
        let other_user = make("us", Some("bob"), "bob", Role::Member, member, None).await.key;
        let other_tenant = make("them", Some("ann"), "ann", Role::Admin, Scopes::ALL, None).await.key;
        let owner = make("us", Some("ann"), "ann", Role::Member, member, None).await.key;
        let admin = make("us", None, "admin", Role::Admin, Scopes::ALL, None).await.key;
        let spare = make("us", None, "spare", Role::Admin, Scopes::ALL, None).await.row.id.to_string();
        let no_scope = make("us", Some("ann"), "little", Role::Member, "write".parse().unwrap(), None).await.key;
        time::sleep(Duration::from_millis(350)).await;
        let server = Server::start(config, engines(&[], rhythm(1, 1, 1))).await;
        let secret = ask(&server, Method::POST, "/v1/realtime/client_secrets", Some(&owner)).await;
        let secret: Value = serde_json::from_str(&secret.text().await.unwrap()).unwrap();
        let keys = [
            None,
            Some(wrong(&owner)),
            Some(expired),
            Some(revoked.key),
            Some(other_user),
            Some(other_tenant),
            Some(secret["value"].as_str().unwrap().to_owned()),
            Some(owner),
            Some(admin),
            Some(no_scope),
        ];
        Self { _dir: dir, server, identities, recorder, keys, spare }
    }

    /// A stored conversation of the owner's.
    async fn conversation(&self) -> String {
        let opening = Opening {
            tenant: "us".into(),
            user: Some("ann".into()),
            agent: "default".into(),
            language: "en".into(),
            consent: None,
        };
        let mut scribe = self.recorder.begin(SessionId::new(), opening);
        let item = ItemRow {
            item: 1,
            position: 1.0,
            role: "user".into(),
            kind: "text".into(),
            text: "a word between us".into(),
            ..ItemRow::default()
        };
        scribe.put(Change::Item(Box::new(item))).unwrap();
        let last = scribe.put(Change::Closed(Closing { reason: "goodbye".into(), ..Closing::default() })).unwrap();
        let mut progress = scribe.progress();
        let written = progress.wait_for(|progress| progress.durable_to >= last);
        time::timeout(Duration::from_secs(30), written).await.expect("it is written").unwrap();
        scribe.conversation().to_string()
    }
}

/// A key that differs in its last letter.
fn wrong(key: &str) -> String {
    let other = if key.ends_with('0') { '1' } else { '0' };
    format!("{}{other}", &key[..key.len() - 1])
}

#[expect(clippy::disallowed_methods, reason = "keys expire by the calendar")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

async fn ask(server: &Server, method: Method, path: &str, key: Option<&str>) -> reqwest::Response {
    let request = client().request(method, server.http(path));
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    request.send().await.unwrap()
}

/// Opens a socket; the status of its answer. With a conversation, what becomes of the wish to go on with it.
async fn knock(server: &Server, path: &str, key: Option<&str>, conversation: Option<&str>) -> u16 {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    if path.ends_with("stream") {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
    }
    if let Some(key) = key {
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    let mut socket = match connect_async(request).await {
        Ok((socket, response)) => match conversation {
            None => return response.status().as_u16(),
            Some(_) => socket,
        },
        Err(Error::Http(response)) => return response.status().as_u16(),
        Err(other) => panic!("{path}: {other}"),
    };
    let mut first = hello();
    first["conversation"] = json!(conversation);
    socket.send(Message::text(first.to_string())).await.unwrap();
    loop {
        match time::timeout(Duration::from_secs(20), socket.next()).await.expect("it answers") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(Message::Text(text))) if text.contains("\"ready\"") => {
                assert!(text.contains(conversation.unwrap()), "{text}");
                return 0;
            }
            Some(Ok(_)) => {}
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn everybody_gets_what_is_theirs_and_nothing_else() {
    let world = World::new().await;
    let conversation = world.conversation().await;
    let mut wrong = Vec::new();
    for Row { ask: what, statuses } in MATRIX {
        let (method, path) = what.split_once(' ').unwrap();
        let id = match path {
            path if path.contains("/keys/") => world.spare.clone(),
            path if path.contains("/models/") => "none-of-this-name".into(),
            path if path.contains("/tickets/") => "ticket_1".into(),
            _ => conversation.clone(),
        };
        // Going on needs one that nobody has deleted.
        let conversation = if method == "GOING_ON" { world.conversation().await } else { conversation.clone() };
        let path = path.replace("{id}", &id);
        for (column, expected) in COLUMNS.iter().zip(statuses) {
            let key = world.keys[COLUMNS.iter().position(|name| name == column).unwrap()].as_deref();
            let status = match method {
                "SOCKET" => knock(&world.server, &path, key, None).await,
                "GOING_ON" => knock(&world.server, &path, key, Some(&conversation)).await,
                method => ask(&world.server, method.parse().unwrap(), &path, key).await.status().as_u16(),
            };
            if status != *expected {
                wrong.push(format!("{what}, {column}: {status} instead of {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    drop(world.identities);
}

#[tokio::test]
async fn foreign_and_missing_things_look_the_same() {
    let world = World::new().await;
    let (theirs, nobodys) = (world.conversation().await, floe::ids::ConversationId::new().to_string());
    for stranger in ["other user", "other tenant"] {
        let key = world.keys[COLUMNS.iter().position(|name| *name == stranger).unwrap()].as_deref();
        for (method, path) in [
            (Method::GET, "/api/v1/conversations/{id}"),
            (Method::GET, "/api/v1/conversations/{id}/transcript?format=md"),
            (Method::DELETE, "/api/v1/conversations/{id}"),
        ] {
            let mut answers = Vec::new();
            for id in [&theirs, &nobodys] {
                let response = ask(&world.server, method.clone(), &path.replace("{id}", id), key).await;
                let mut headers = response.headers().clone();
                headers.remove("date");
                answers.push((response.status(), headers, response.text().await.unwrap()));
            }
            assert_eq!(answers[0], answers[1], "{method} {path} for {stranger}");
        }
        let listed = ask(&world.server, Method::GET, "/api/v1/conversations", key).await.text().await.unwrap();
        let found = ask(&world.server, Method::GET, "/api/v1/search?q=between", key).await.text().await.unwrap();
        for text in [&listed, &found] {
            let page: Value = serde_json::from_str(text).unwrap();
            assert_eq!(page["data"].as_array().unwrap().len(), 0, "{stranger}: {text}");
        }
    }
    for owner in ["owner", "admin"] {
        let key = world.keys[COLUMNS.iter().position(|name| *name == owner).unwrap()].as_deref();
        let listed = ask(&world.server, Method::GET, "/api/v1/conversations", key).await.text().await.unwrap();
        assert!(listed.contains(&theirs), "{owner}: {listed}");
    }
}

#[tokio::test]
async fn every_route_has_a_row() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await;
    let document: Value =
        serde_json::from_str(&client().get(server.http("/openapi.json")).send().await.unwrap().text().await.unwrap())
            .unwrap();
    let mut routes: BTreeSet<String> = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    // What no document knows of: each of these paths has at least one row.
    let general = |ask: &str| ask.replace("/users/ann", "/users/{user}").replace("/users/carl", "/users/{user}");
    let rows: BTreeSet<String> = MATRIX.iter().map(|row| general(row.ask)).collect();
    for path in super::openapi::UNDOCUMENTED {
        assert!(rows.iter().any(|row| row.split_once(' ').unwrap().1 == path), "{path} has no row");
    }
    let missing: Vec<&String> = routes.difference(&rows).collect();
    assert!(missing.is_empty(), "routes without a row in the access matrix: {missing:?}");
}
