//! Keys, tickets and logins over their lives: on several servers, revoked, expired, used twice.

use std::{path::Path, time::Duration};

use floe::{app, auth::Mode, config::Config};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use super::routes::client;
use crate::support::{
    duplex::{engines, hello, rhythm},
    postgres::Cluster,
    redis::RedisServer,
    server::Server,
};

const BOOTSTRAP: &str = "sk_to_begin_with";

/// A server that needs keys, in this directory.
fn locked(dir: &Path) -> Config {
    let mut config = Config::default();
    config.store.dir = dir.to_owned();
    config.server.keys = BOOTSTRAP.into();
    config.auth.secret = "one secret for every server of these tests".into();
    config
}

async fn start(config: Config) -> Server {
    Server::start(config, engines(&[], rhythm(1, 1, 1))).await
}

async fn ask(server: &Server, method: Method, path: &str, key: &str, body: Value) -> (u16, Value) {
    let request = client().request(method, server.http(path)).bearer_auth(key);
    let request = if body.is_null() {
        request
    } else {
        request.header("content-type", "application/json").body(body.to_string())
    };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
}

async fn make_key(server: &Server, wanted: Value) -> Value {
    let (status, key) = ask(server, Method::POST, "/api/v1/keys", BOOTSTRAP, wanted).await;
    assert_eq!(status, 201, "{key}");
    key
}

async fn ticket(server: &Server, key: &str, wanted: Value) -> Value {
    let (status, ticket) = ask(server, Method::POST, "/v1/stream/tickets", key, wanted).await;
    assert_eq!(status, 200, "{ticket}");
    ticket
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a socket with what a browser can show. The subprotocol that was selected comes with it.
async fn open(server: &Server, shown: &str) -> Result<(Socket, String), u16> {
    let mut request = server.stream().into_client_request().unwrap();
    let offered = format!("floe.v1, floe.auth.{shown}").parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", offered);
    match connect_async(request).await {
        Ok((socket, response)) => {
            let selected = response.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
            Ok((socket, selected))
        }
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

/// Begins to talk; the socket and the `ready`.
async fn talk(server: &Server, shown: &str, hello: Value) -> (Socket, Value) {
    let (mut socket, _) = open(server, shown).await.expect("it is let in");
    socket.send(Message::text(hello.to_string())).await.unwrap();
    loop {
        match time::timeout(Duration::from_secs(20), socket.next()).await.expect("it answers") {
            Some(Ok(Message::Text(text))) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                if event["type"] == "ready" {
                    return (socket, event);
                }
            }
            Some(Ok(Message::Close(frame))) => panic!("closed: {frame:?}"),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The close code, and how long it took.
async fn closed(socket: &mut Socket) -> (u16, Duration) {
    let began = now();
    loop {
        match time::timeout(Duration::from_secs(30), socket.next()).await.expect("the server closes") {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), now().duration_since(began)),
            Some(Ok(_)) => {}
            other => panic!("no close frame but {other:?}"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a revocation takes is what is promised")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn a_key_is_shown_once_changed_by_two_and_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(locked(dir.path())).await;
    let old = make_key(&server, json!({ "name": "web", "role": "member", "user": "ann" })).await;
    let (key, id) = (old["key"].as_str().unwrap(), old["id"].as_str().unwrap());
    assert!(key.starts_with(old["prefix"].as_str().unwrap()) && key.len() == "floe_".len() + 12 + 1 + 43, "{old}");
    assert_eq!(old["scopes"], json!(["talk", "read", "write", "tickets"]));
    let new = make_key(&server, json!({ "name": "web", "role": "member", "user": "ann", "scopes": ["read"] })).await;
    let third = json!({ "name": "web", "role": "member", "user": "ann" });
    let (status, problem) = ask(&server, Method::POST, "/api/v1/keys", BOOTSTRAP, third.clone()).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("two_active")));
    for both in [key, new["key"].as_str().unwrap()] {
        assert_eq!(ask(&server, Method::GET, "/api/v1/usage", both, Value::Null).await.0, 200);
    }
    let used = async || {
        let (_, list) = ask(&server, Method::GET, "/api/v1/keys?limit=1", BOOTSTRAP, Value::Null).await;
        assert!(!list.to_string().contains("\"key\":\"floe_") && list["has_more"] == true, "{list}");
        assert_eq!(list["data"][0]["id"], new["id"], "newest first");
        list["data"][0]["used_at"].is_string()
    };
    let noted = async {
        while !used().await {
            time::sleep(Duration::from_millis(100)).await;
        }
    };
    time::timeout(Duration::from_secs(20), noted).await.expect("its use is noted");
    assert_eq!(ask(&server, Method::DELETE, &format!("/api/v1/keys/{id}"), BOOTSTRAP, Value::Null).await.0, 204);
    assert_eq!(ask(&server, Method::DELETE, &format!("/api/v1/keys/{id}"), BOOTSTRAP, Value::Null).await.0, 404);
    assert_eq!(ask(&server, Method::GET, "/api/v1/usage", key, Value::Null).await.0, 401);
    assert_eq!(ask(&server, Method::POST, "/api/v1/keys", BOOTSTRAP, third).await.0, 201, "there is room again");
    for wrong in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "x", "role": "device" }),
        json!({ "name": "x", "role": "member" }),
        json!({ "name": "x", "role": "king" }),
        json!({ "name": "x", "scopes": ["fly"] }),
        json!({ "name": "x", "scopes": [] }),
        json!({ "name": "x", "role": "member", "user": "ann", "scopes": ["keys"] }),
        json!({ "name": "x", "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "name": "x", "tenant": "them" }),
    ] {
        let (status, problem) = ask(&server, Method::POST, "/api/v1/keys", BOOTSTRAP, wrong.clone()).await;
        assert_eq!(status, 400, "{wrong}: {problem}");
    }
    // What is on disk opens nothing.
    let database = std::fs::read(dir.path().join("floe.db")).unwrap();
    let log = std::fs::read(dir.path().join("floe.db-wal")).unwrap_or_default();
    let secret = key.rsplit('_').next().unwrap().as_bytes();
    assert!(![database, log].iter().any(|file| file.windows(secret.len()).any(|window| window == secret)));
}

#[tokio::test]
async fn a_named_request_for_a_key_makes_one_and_its_secret_is_kept_nowhere() {
    let (dir, redis) = (tempfile::tempdir().unwrap(), RedisServer::start().await);
    let server = start(Config { redis: redis.config(), ..locked(dir.path()) }).await;
    let send = async || {
        let request = client().post(server.http("/api/v1/keys")).bearer_auth(BOOTSTRAP);
        let request = request.header("idempotency-key", "once").header("content-type", "application/json");
        let response = request.body(json!({ "name": "web" }).to_string()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, made) = send().await;
    assert_eq!(status, 201, "{made}");
    let (status, again) = send().await;
    assert!(status == 409 && again.contains("already_done") && !again.contains("floe_"), "{again}");
    let names: Vec<String> = redis.ask(redis::cmd("KEYS").arg("floe:once:*")).await.unwrap();
    assert_eq!(names.len(), 1);
    let kept: Vec<String> = redis.ask(redis::cmd("HVALS").arg(&names[0])).await.unwrap();
    assert!(kept.iter().all(|value| !value.contains("floe_")), "{kept:?}");
}

#[tokio::test]
async fn one_of_fifty_gets_in_with_a_ticket_on_two_servers() {
    let (one, two, redis) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), RedisServer::start().await);
    let on = async |dir: &tempfile::TempDir| {
        let mut config = Config { redis: redis.config(), ..locked(dir.path()) };
        config.server.sessions_max = 200;
        start(config).await
    };
    let (first, second) = (on(&one).await, on(&two).await);
    for _ in 0..10 {
        let made = ticket(&first, BOOTSTRAP, json!({})).await;
        let shown = made["ticket"].as_str().unwrap();
        assert!(shown.starts_with("ft_") && made["expires_in_s"] == 60, "{made}");
        let opened = futures_util::future::join_all(
            (0..50).map(|number| open(if number % 2 == 0 { &first } else { &second }, shown)),
        )
        .await;
        let (let_in, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!((let_in.len(), refused.len()), (1, 49));
        assert!(refused.into_iter().all(|refused| refused.err() == Some(401)));
        let (_, selected) = let_in.into_iter().next().unwrap().unwrap();
        assert_eq!(selected, "floe.v1", "the ticket is not sent back");
    }
    let names: Vec<String> = redis.ask(redis::cmd("KEYS").arg("floe:grant:*")).await.unwrap();
    assert!(names.is_empty(), "a ticket that was used is gone: {names:?}");
}

#[tokio::test]
async fn a_revocation_on_one_server_ends_conversations_on_the_other_within_five_seconds() {
    let (dir, postgres) = (tempfile::tempdir().unwrap(), Cluster::start().await);
    postgres.database("floe", dir.path()).await;
    let on = async |name: &str| {
        let mut config = locked(&dir.path().join(name));
        config.store = postgres.config("floe", &dir.path().join(name));
        start(config).await
    };
    let (first, second) = (on("a").await, on("b").await);
    let key = make_key(&first, json!({ "name": "web" })).await;
    let (id, key) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
    let other = make_key(&first, json!({ "name": "other" })).await;
    let (mut directly, _) = talk(&second, key, hello()).await;
    // A ticket is kept by the server that made it where no Redis is: this one talks there.
    let made = ticket(&second, key, json!({ "user": "ann" })).await;
    let (mut by_ticket, _) = talk(&second, made["ticket"].as_str().unwrap(), hello()).await;
    let made = ticket(&second, other["key"].as_str().unwrap(), json!({ "user": "bob" })).await;
    let (mut revoked_ticket, _) = talk(&second, made["ticket"].as_str().unwrap(), hello()).await;
    let (mut bystander, _) = talk(&second, other["key"].as_str().unwrap(), hello()).await;

    let revoke = format!("/v1/stream/tickets/{}", made["id"].as_str().unwrap());
    assert_eq!(ask(&first, Method::DELETE, &revoke, other["key"].as_str().unwrap(), Value::Null).await.0, 204);
    let (code, took) = closed(&mut revoked_ticket).await;
    assert!(code == 4003 && took < Duration::from_secs(5), "{code} after {took:?}");

    assert_eq!(ask(&first, Method::DELETE, &format!("/api/v1/keys/{id}"), BOOTSTRAP, Value::Null).await.0, 204);
    let both = async { tokio::join!(closed(&mut directly), closed(&mut by_ticket)) };
    for (code, took) in <[_; 2]>::from(both.await) {
        assert!(code == 4003 && took < Duration::from_secs(5), "{code} after {took:?}");
    }
    let gone = async {
        while ask(&second, Method::GET, "/v1/models", key, Value::Null).await.0 != 401 {
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(Duration::from_secs(5), gone).await.expect("and opens nothing there any more");
    // Whoever has another key notices nothing.
    bystander.send(Message::text(json!({ "type": "ping", "id": 1, "t": 1 }).to_string())).await.unwrap();
    let answer = time::timeout(Duration::from_secs(10), bystander.next()).await.unwrap().unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("pong"), "{answer}");
}

#[tokio::test]
async fn a_conversation_ends_when_its_key_does() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(locked(dir.path())).await;
    let at = jiff::Timestamp::now() + Duration::from_secs(3);
    let key = make_key(&server, json!({ "name": "web", "expires_at": format!("{at:.3}") })).await;
    let (mut socket, _) = talk(&server, key["key"].as_str().unwrap(), hello()).await;
    let (code, took) = closed(&mut socket).await;
    assert!(code == 4003 && took < Duration::from_secs(8), "{code} after {took:?}");
    assert_eq!(open(&server, key["key"].as_str().unwrap()).await.err(), Some(401));
    let (_, list) = ask(&server, Method::GET, "/api/v1/keys", BOOTSTRAP, Value::Null).await;
    assert_eq!(list["data"][0]["state"], "expired");
}

#[tokio::test]
async fn a_client_secret_ends_with_its_maker_and_a_login_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(locked(dir.path())).await;
    let key = make_key(&server, json!({ "name": "web" })).await;
    let (id, key) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
    let (_, secret) = ask(&server, Method::POST, "/v1/realtime/client_secrets", key, Value::Null).await;
    let secret = secret["value"].as_str().unwrap();
    assert!(open(&server, secret).await.is_ok());
    let login = |site: &'static str| {
        let form = format!("key={key}&return=%2Fconsole");
        let request = client().post(server.http("/login")).header("sec-fetch-site", site);
        request.header("content-type", "application/x-www-form-urlencoded").body(form).send()
    };
    assert_eq!(login("cross-site").await.unwrap().status(), StatusCode::FORBIDDEN);
    let logged_in = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = format!("key={key}&return=%2Fconsole");
    let response = logged_in
        .post(server.http("/login"))
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (303, "/console"));
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let read = async || {
        let request = client().get(server.http("/api/v1/keys")).header("cookie", &cookie);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(read().await, 200);
    assert_eq!(ask(&server, Method::DELETE, &format!("/api/v1/keys/{id}"), BOOTSTRAP, Value::Null).await.0, 204);
    assert_eq!(read().await, 401);
    assert_eq!(open(&server, secret).await.err(), Some(401));
}

#[tokio::test]
async fn a_ticket_is_never_for_more_than_its_maker_may_do() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(locked(dir.path())).await;
    let of = async |user: &str| {
        let key = make_key(&server, json!({ "name": user, "role": "member", "user": user })).await;
        key["key"].as_str().unwrap().to_owned()
    };
    let (ann, bob) = (of("ann").await, of("bob").await);
    let (mut socket, ready) = talk(&server, &ann, hello()).await;
    socket.send(Message::text(json!({ "type": "bye" }).to_string())).await.unwrap();
    let conversation = ready["conversation"].as_str().unwrap();
    let path = format!("/api/v1/conversations/{conversation}");
    let written = async {
        while ask(&server, Method::GET, &path, &ann, Value::Null).await.1["state"] != "ended" {
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(Duration::from_secs(20), written).await.expect("it is written");
    for (key, wanted, status) in [
        (&ann, json!({ "role": "admin" }), 403),
        (&ann, json!({ "user": "bob" }), 403),
        (&ann, json!({ "role": "king" }), 400),
        (&ann, json!({ "colour": "red" }), 400),
        (&ann, json!({ "role": "member", "conversation": conversation }), 400),
        (&bob, json!({ "conversation": conversation }), 404),
        (&ann, json!({ "conversation": "cnv_1" }), 404),
    ] {
        let (got, body) = ask(&server, Method::POST, "/v1/stream/tickets", key, wanted.clone()).await;
        assert_eq!(got, status, "{wanted}: {body}");
    }
    // A device goes on with the conversation of its ticket, and with no other.
    let mut going_on = hello();
    going_on["conversation"] = json!(conversation);
    let made = ticket(&server, &ann, json!({ "conversation": conversation })).await;
    let (_, ready) = talk(&server, made["ticket"].as_str().unwrap(), going_on.clone()).await;
    assert_eq!(ready["conversation"], conversation);
    let made = ticket(&server, &ann, json!({})).await;
    let (mut socket, _) = open(&server, made["ticket"].as_str().unwrap()).await.unwrap();
    socket.send(Message::text(going_on.to_string())).await.unwrap();
    assert_eq!(closed(&mut socket).await.0, 4404);
    // A member's ticket is the member.
    let made = ticket(&server, &ann, json!({ "role": "member" })).await;
    let (_, ready) = talk(&server, made["ticket"].as_str().unwrap(), going_on).await;
    assert_eq!(ready["conversation"], conversation);
}

#[tokio::test]
async fn a_resume_token_in_another_users_hands_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(locked(dir.path())).await;
    let mut hello = hello();
    hello["features"] = json!(["resume"]);
    let shown = async |user: &str| {
        let made = ticket(&server, BOOTSTRAP, json!({ "user": user })).await;
        made["ticket"].as_str().unwrap().to_owned()
    };
    let (socket, ready) = talk(&server, &shown("ann").await, hello.clone()).await;
    drop(socket);
    hello["resume"] = json!({ "token": ready["resume"]["token"], "last_n": 1 });
    let (_, stolen) = talk(&server, &shown("bob").await, hello.clone()).await;
    assert_ne!(stolen["session"], ready["session"]);
    assert_ne!(stolen["resumed"], true, "{stolen}");
    let (_, back) = talk(&server, &shown("ann").await, hello).await;
    assert_eq!((&back["session"], &back["resumed"]), (&ready["session"], &json!(true)), "{back}");
}

#[tokio::test]
async fn a_server_with_another_secret_says_so_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(locked(dir.path())).await;
    make_key(&first, json!({ "name": "web" })).await;
    first.ask_to_stop();
    first.stopped().await;
    let mut other = locked(dir.path());
    other.auth.secret = "quite another secret, as if by mistake".into();
    other.server.listen = "127.0.0.1:0".into();
    other.auth.mode = Mode::Keys;
    let listener = app::listen(&other).await.unwrap();
    let app = app::app(&other, engines(&[], rhythm(1, 1, 1)));
    let ended = app::run(listener, &other, app, tokio_util::sync::CancellationToken::new());
    let error = time::timeout(Duration::from_secs(20), ended).await.expect("it ends").unwrap_err();
    assert!(format!("{error:#}").contains("FLOE_AUTH_SECRET"), "{error:#}");
}
