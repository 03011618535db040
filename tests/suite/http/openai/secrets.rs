//! Rows 7, 8, 9 and 11: client secrets.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time;

use super::{KEY, call, locked, open, refused};
use crate::{
    http::routes::client,
    support::{
        duplex::{engines, rhythm},
        server::Server,
    },
};

async fn server() -> Server {
    Server::start(locked(), engines(&["hello"], rhythm(1, 1, 3))).await
}

async fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    call(client().post(server.http(path)).json(body)).await
}

fn bearer(secret: &Value) -> String {
    format!("Bearer {}", secret.as_str().unwrap())
}

#[tokio::test]
async fn row_7_a_secret_is_made_and_its_life_has_bounds() {
    let server = server().await;
    let path = "/v1/realtime/client_secrets";
    let (status, made) = post(&server, path, &json!({})).await;
    assert_eq!(status, 200, "{made}");
    assert!(made["value"].as_str().unwrap().starts_with("ek_"));
    assert!(made["expires_at"].as_u64().unwrap() > 1_700_000_000);
    let session = &made["session"];
    assert!(session["id"].as_str().unwrap().starts_with("sess_"), "{session}");
    assert_eq!((session["object"].as_str(), session["type"].as_str()), (Some("realtime.session"), Some("realtime")));
    for (seconds, status) in [(9, 400), (10, 200), (7_200, 200), (7_201, 400), (-1, 400)] {
        let body = json!({ "expires_after": { "anchor": "created_at", "seconds": seconds } });
        let (got, answer) = post(&server, path, &body).await;
        assert_eq!(got, status, "{seconds}: {answer}");
        if status == 400 {
            assert_eq!(answer["error"]["param"], "expires_after.seconds");
        }
    }
    let (status, answer) = post(&server, path, &json!({ "expires_after": { "anchor": "whenever" } })).await;
    assert_eq!((status, answer["error"]["param"].as_str()), (400, Some("expires_after.anchor")));
    let wrong =
        json!({ "session": { "type": "realtime", "audio": { "output": { "format": { "type": "audio/mp3" } } } } });
    let (status, answer) = post(&server, path, &wrong).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"]["param"].as_str().unwrap().starts_with("session.audio.output.format"), "{answer}");
}

#[tokio::test]
async fn only_a_key_makes_secrets_and_a_secret_opens_nothing_else() {
    let server = server().await;
    let path = server.http("/v1/realtime/client_secrets");
    let nobody = client().post(&path).json(&json!({})).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    let (_, made) = post(&server, "/v1/realtime/client_secrets", &json!({})).await;
    for request in [client().post(&path).json(&json!({})), client().get(server.http("/v1/models"))] {
        let answer = request.header("authorization", bearer(&made["value"])).send().await.unwrap();
        assert_eq!(answer.status(), 403);
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["type"], "permission_error");
    }
}

#[tokio::test]
async fn row_8_a_secret_opens_sessions_until_it_ends_and_they_outlive_it() {
    let server = server().await;
    let body = json!({ "expires_after": { "anchor": "created_at", "seconds": 10 } });
    let (_, made) = post(&server, "/v1/realtime/client_secrets", &body).await;
    let secret = bearer(&made["value"]);
    let (mut first, _) = open(&server, "/v1/realtime?model=m", &[("authorization", &secret)]).await.unwrap();
    let offered = format!("realtime, openai-insecure-api-key.{}", made["value"].as_str().unwrap());
    let (mut second, _) = open(&server, "/v1/realtime?model=m", &[("sec-websocket-protocol", &offered)]).await.unwrap();
    assert_eq!(first.next().await["type"], "session.created");
    assert_eq!(second.next().await["type"], "session.created");
    let ended = time::timeout(Duration::from_secs(60), async {
        while open(&server, "/v1/realtime?model=m", &[("authorization", &secret)]).await.is_ok() {
            time::sleep(Duration::from_millis(500)).await;
        }
    });
    ended.await.expect("the secret ends");
    let (status, _, body) = refused(open(&server, "/v1/realtime?model=m", &[("authorization", &secret)]).await);
    assert_eq!((status, body["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    first.send(json!({ "type": "response.create" })).await;
    assert_eq!(first.until("response.done").await["response"]["status"], "completed");
}

#[tokio::test]
async fn row_9_what_is_bound_to_a_secret_is_how_its_session_begins() {
    let server = server().await;
    let session = json!({
        "type": "realtime",
        "model": "bound-model",
        "instructions": "Speak like a pirate.",
        "output_modalities": ["text"],
        "audio": { "input": { "turn_detection": null } },
    });
    let (status, made) = post(&server, "/v1/realtime/client_secrets", &json!({ "session": session })).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["session"]["instructions"], "Speak like a pirate.");
    let secret = bearer(&made["value"]);
    let (mut client, _) = open(&server, "/v1/realtime?model=other", &[("authorization", &secret)]).await.unwrap();
    let created = client.next().await;
    let told = &created["session"];
    assert_eq!(told["model"], "bound-model");
    assert_eq!(told["instructions"], "Speak like a pirate.");
    assert_eq!(told["output_modalities"], json!(["text"]));
    assert_eq!(told["audio"]["input"]["turn_detection"], Value::Null);
    let transcription = json!({ "session": { "type": "transcription" } });
    let (_, made) = post(&server, "/v1/realtime/client_secrets", &transcription).await;
    let secret = bearer(&made["value"]);
    let (mut client, _) = open(&server, "/v1/realtime", &[("authorization", &secret)]).await.unwrap();
    assert_eq!(client.next().await["session"]["type"], "transcription");
}

#[tokio::test]
async fn row_11_the_betas_addresses_still_make_secrets() {
    let server = server().await;
    let body = json!({ "model": "old", "voice": "alloy", "modalities": ["text"] });
    let (status, made) = post(&server, "/v1/realtime/sessions", &body).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!((made["model"].as_str(), &made["modalities"]), (Some("old"), &json!(["text"])));
    let secret = &made["client_secret"];
    assert!(secret["value"].as_str().unwrap().starts_with("ek_") && secret["expires_at"].is_u64());
    let headers = [("authorization", bearer(&secret["value"])), ("openai-beta", "realtime=v1".into())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (mut client, _) = open(&server, "/v1/realtime?model=old", &headers).await.unwrap();
    assert_eq!(client.next().await["session"]["modalities"], json!(["text"]));
    let (status, made) = post(&server, "/v1/realtime/transcription_sessions", &json!({})).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["object"], "realtime.transcription_session");
    assert!(made["client_secret"]["value"].as_str().unwrap().starts_with("ek_"));
    assert!(!made.to_string().contains(KEY));
}
