//! A conversation over a real socket, and what the API says of it afterwards.

use std::time::Duration;

use floe::config::Config;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time;

use super::routes::client;
use crate::support::{
    client::Client,
    duplex::{engines, hello, rhythm},
    server::Server,
};

/// A server that keeps what is said in this directory.
async fn server(dir: &tempfile::TempDir) -> Server {
    let mut config = Config::default();
    config.store.dir = dir.path().to_owned();
    Server::start(config, engines(&[], rhythm(1, 1, 4))).await
}

/// Types some words, waits for each reply, says goodbye; gives everything the server said.
pub(super) async fn converse(server: &Server, words: &[&str]) -> Vec<Value> {
    let (mut client, _) = Client::begin(server, hello()).await;
    for text in words {
        client.ask(text).await;
    }
    client.tell(json!({ "type": "bye", "flush": true })).await;
    client.until("close").await;
    client.seen.pop();
    client.seen
}

async fn get(server: &Server, path: &str) -> Value {
    let response = client().get(server.http(path)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    assert_eq!(response.headers()["cache-control"], "no-store");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn text(server: &Server, path: &str) -> (String, String) {
    let response = client().get(server.http(path)).send().await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    (kind, response.text().await.unwrap())
}

/// Waits until the conversation has been written to its end.
pub(super) async fn ended(server: &Server, id: &str) -> Value {
    let waiting = async {
        loop {
            let conversation = get(server, &format!("/api/v1/conversations/{id}")).await;
            if conversation["state"] != "live" {
                return conversation;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(Duration::from_secs(60), waiting).await.expect("the end is written")
}

#[tokio::test]
async fn what_was_said_can_be_read_searched_exported_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir).await;
    let said = converse(&server, &["Is the <harbour> open today?", "And tomorrow"]).await;
    let id = said[0]["conversation"].as_str().expect("ready names the conversation").to_owned();
    let turns: Vec<&Value> = said.iter().filter(|event| event["type"] == "turn.committed").collect();
    assert_eq!(turns.len(), 2);
    assert!(turns.iter().all(|turn| turn["durable"] == true), "{turns:?}");

    let whole = ended(&server, &id).await;
    assert_eq!(
        (&whole["state"], &whole["end_reason"], &whole["agent"]),
        (&json!("ended"), &json!("goodbye"), &json!("default"))
    );
    let items = whole["items"].as_array().unwrap();
    let roles: Vec<&str> = items.iter().map(|item| item["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    assert_eq!(items[0]["text"], "Is the <harbour> open today?");
    let spoken: Vec<&Value> = said.iter().filter(|event| event["type"] == "reply.done").collect();
    assert_eq!(items[1]["text"], spoken[0]["text"]);
    assert_eq!(whole["replies"].as_array().unwrap().len(), 2);
    assert_eq!(whole["replies"][0]["status"], "completed");
    assert!(whole["audio_out_ms"].as_i64().unwrap() > 0, "replies were spoken");
    assert!(items[1]["end_ms"].as_i64() > items[1]["start_ms"].as_i64(), "{}", items[1]);

    let list = get(&server, "/api/v1/conversations?limit=1&agent=default&state=ended").await;
    assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&json!(id), &json!(false)));
    let found = get(&server, "/api/v1/search?q=open%20harb").await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    assert_eq!(found["data"][0]["conversation"], json!(id));
    let hits: Vec<&str> = found["data"][0]["snippet"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|piece| piece["hit"] == true)
        .map(|piece| piece["text"].as_str().unwrap())
        .collect();
    assert_eq!(hits, ["harbour", "open"]);
    let usage = get(&server, "/api/v1/usage").await;
    assert_eq!((&usage["total"]["conversations"], &usage["total"]["replies"]), (&json!(1), &json!(2)));

    let path = format!("/api/v1/conversations/{id}/transcript");
    let (kind, vtt) = text(&server, &format!("{path}?format=vtt")).await;
    assert!(kind.starts_with("text/vtt") && vtt.starts_with("WEBVTT\n\n00:00:00.000 --> "), "{vtt}");
    assert!(vtt.contains("<v User>Is the &lt;harbour&gt; open today?</v>"), "{vtt}");
    let (_, srt) = text(&server, &format!("{path}?format=srt")).await;
    assert!(
        srt.starts_with("1\r\n00:00:00,000 --> ")
            && srt.contains("\r\nUser: Is the <harbour> open today?\r\n\r\n2\r\n"),
        "{srt}"
    );
    let (_, md) = text(&server, &format!("{path}?format=md")).await;
    assert!(md.contains("**User** (00:00:00.000): Is the \\<harbour\\> open today?"), "{md}");
    let accepted = client().get(server.http(&path)).header("accept", "text/plain").send().await.unwrap();
    assert!(accepted.text().await.unwrap().starts_with("User: Is the <harbour> open today?\nAssistant: "));

    let one = server.http(&format!("/api/v1/conversations/{id}"));
    assert_eq!(client().delete(&one).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(client().delete(&one).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert!(get(&server, "/api/v1/search?q=harbour").await["data"].as_array().unwrap().is_empty());
    server.ask_to_stop();
    server.stopped().await;
}

#[tokio::test]
async fn what_was_said_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = server(&dir).await;
    let said = converse(&first, &["remember me"]).await;
    let id = said[0]["conversation"].as_str().unwrap().to_owned();
    first.ask_to_stop();
    first.stopped().await;
    let second = server(&dir).await;
    let whole = get(&second, &format!("/api/v1/conversations/{id}")).await;
    assert_eq!((&whole["state"], &whole["items"][0]["text"]), (&json!("ended"), &json!("remember me")));
    second.ask_to_stop();
    second.stopped().await;
}

#[tokio::test]
async fn wrong_questions_get_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir).await;
    let unknown = floe::ids::ConversationId::new();
    let cases = [
        (format!("/api/v1/conversations/{unknown}"), 404, "not_found"),
        ("/api/v1/conversations/1".into(), 404, "not_found"),
        (format!("/api/v1/conversations/{unknown}/transcript?format=vtt"), 404, "not_found"),
        (format!("/api/v1/conversations/{unknown}/transcript?format=pdf"), 400, "bad_request"),
        ("/api/v1/conversations?limit=0".into(), 400, "bad_request"),
        ("/api/v1/conversations?limit=101".into(), 400, "bad_request"),
        ("/api/v1/conversations?limit=many".into(), 400, "bad_request"),
        ("/api/v1/conversations?after=nothing".into(), 400, "bad_request"),
        ("/api/v1/conversations?state=asleep".into(), 400, "bad_request"),
        ("/api/v1/conversations?since=yesterday".into(), 400, "bad_request"),
        ("/api/v1/conversations?unknown=1".into(), 400, "bad_request"),
        ("/api/v1/search".into(), 400, "bad_request"),
        ("/api/v1/search?q=%3F".into(), 400, "bad_request"),
        ("/api/v1/search?q=a&after=x".into(), 400, "bad_request"),
        ("/api/v1/usage?since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z".into(), 400, "bad_request"),
        ("/api/v1/nothing".into(), 404, "not_found"),
    ];
    for (path, status, code) in cases {
        let response = client().get(server.http(&path)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{path}");
    }
    let wrong_method = client().post(server.http("/api/v1/usage")).send().await.unwrap();
    assert_eq!(wrong_method.status(), StatusCode::METHOD_NOT_ALLOWED);
    let foreign =
        client().get(server.http("/api/v1/usage")).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_server_that_keeps_nothing_says_so() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 4))).await;
    let said = converse(&server, &["hello"]).await;
    assert!(said[0]["conversation"].is_null());
    let turn = said.iter().find(|event| event["type"] == "turn.committed").unwrap();
    assert_eq!(turn["durable"], false);
    let response = client().get(server.http("/api/v1/conversations")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(response.text().await.unwrap().contains("not_kept"));
}
