//! Models, and the shape of every refusal under `/v1`.

use floe::config::Config;
use serde_json::Value;

use super::{call, locked};
use crate::{
    http::routes::client,
    support::{
        duplex::{engines, rhythm},
        server::Server,
    },
};

async fn server(config: Config) -> Server {
    Server::start(config, engines(&[], rhythm(1, 1, 1))).await
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let server = server(locked()).await;
    let (status, list) = call(client().get(server.http("/v1/models"))).await;
    assert_eq!((status, list["object"].as_str()), (200, Some("list")));
    for model in list["data"].as_array().unwrap() {
        let id = model["id"].as_str().unwrap();
        let (status, one) = call(client().get(server.http(&format!("/v1/models/{id}")))).await;
        assert_eq!((status, &one), (200, model));
        assert!(one["created"].is_u64() && one["object"] == "model" && one["owned_by"].is_string());
    }
    let (status, unknown) = call(client().get(server.http("/v1/models/gpt-9"))).await;
    assert_eq!((status, unknown["error"]["code"].as_str()), (404, Some("model_not_found")));
}

#[tokio::test]
async fn every_refusal_has_their_shape() {
    let server = server(locked()).await;
    let json = |path: &str, body: &'static str| {
        client().post(server.http(path)).header("content-type", "application/json").body(body)
    };
    let secrets = "/v1/realtime/client_secrets";
    let speech = "/v1/audio/speech";
    let requests = [
        (404, client().get(server.http("/v1/nothing"))),
        (404, client().post(server.http("/v1/chat/completions")).body("{}")),
        (405, client().delete(server.http("/v1/models"))),
        (405, client().get(server.http(speech))),
        (426, client().get(server.http("/v1/realtime?model=m"))),
        (400, json(secrets, "{")),
        (400, json(secrets, r#"{"expires_after": 5}"#)),
        (400, json(speech, r#"{"model": "m"}"#)),
        (415, client().post(server.http(speech)).header("content-type", "text/plain").body("hello")),
        (415, client().post(server.http("/v1/audio/transcriptions")).body("RIFF")),
        (413, client().post(server.http(speech)).body(" ".repeat(2 << 20))),
    ];
    for (expected, request) in requests {
        let what = format!("{request:?}");
        let (status, body) = call(request).await;
        assert_eq!(status, expected, "{what}: {body}");
        let error = &body["error"];
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{what}: {body}");
        assert!(error["type"].is_string() && error["code"].is_string(), "{what}: {body}");
        assert!(error.get("param").is_some(), "{what}: {body}");
    }
}

#[tokio::test]
async fn every_route_asks_for_the_key() {
    let server = server(locked()).await;
    let posts = [
        "/v1/realtime/client_secrets",
        "/v1/realtime/sessions",
        "/v1/realtime/transcription_sessions",
        "/v1/audio/speech",
        "/v1/audio/transcriptions",
    ];
    let posts = posts.map(|path| client().post(server.http(path)).body("{}"));
    let gets = ["/v1/models", "/v1/models/floe-speech"].map(|path| client().get(server.http(path)));
    for request in posts.into_iter().chain(gets) {
        let what = format!("{request:?}");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{what}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "invalid_api_key", "{what}");
    }
}
