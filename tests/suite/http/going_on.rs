//! Going on: with a session that waits, and with a conversation that was kept.

use std::time::Duration;

use floe::config::Config;
use serde_json::{Value, json};
use tokio::time;

use super::routes::client;
use crate::support::{
    client::Client,
    duplex::{engines, hello, rhythm},
    server::Server,
};

pub(super) fn returning() -> Value {
    let mut hello = hello();
    hello["features"] = json!(["resume"]);
    hello["speak"] = json!(false);
    hello
}

pub(super) fn going_on(conversation: &str) -> Value {
    let mut hello = returning();
    hello["conversation"] = json!(conversation);
    hello
}

fn keeping(dir: &tempfile::TempDir) -> Config {
    let mut config = Config::default();
    config.store.dir = dir.path().to_owned();
    config
}

pub(super) async fn server(config: Config) -> Server {
    Server::start(config, engines(&[], rhythm(1, 1, 4))).await
}

async fn items(server: &Server, conversation: &str) -> Vec<(u64, String, u64)> {
    let path = server.http(&format!("/api/v1/conversations/{conversation}"));
    let body = client().get(path).send().await.unwrap().text().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    if body["status"] == 404 {
        // Not even its beginning is written yet.
        return Vec::new();
    }
    let item = |item: &Value| {
        let words = item["text"].as_str().unwrap().to_owned();
        (item["id"].as_u64().unwrap(), words, item["start_ms"].as_u64().unwrap_or_default())
    };
    // A conversation that was just begun may not be written yet.
    body["items"].as_array().map(|items| items.iter().map(item).collect()).unwrap_or_default()
}

/// Waits until so many items are written.
pub(super) async fn written(server: &Server, conversation: &str, count: usize) -> Vec<(u64, String, u64)> {
    let waiting = async {
        loop {
            let kept = items(server, conversation).await;
            if kept.len() >= count {
                return kept;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("fewer than {count} items"))
}

#[tokio::test]
async fn a_client_that_lost_its_socket_finds_its_session() {
    let server = server(Config::default()).await;
    let (mut client, ready) = Client::begin(&server, returning()).await;
    client.ask("one").await;
    drop(client);
    let mut again = returning();
    again["resume"] = json!({ "token": ready["resume"]["token"], "last_n": 3 });
    let (mut client, back) = Client::begin(&server, again.clone()).await;
    assert_eq!((&back["resumed"], &back["session"], &back["n"]), (&json!(true), &ready["session"], &json!(3)));
    assert_eq!(client.until("reply.done").await["status"], "completed", "what was missed comes again");
    client.ask("two").await;
    // The same token again: somebody else's session, or nobody's.
    let (_, other) = Client::begin(&server, again).await;
    assert_eq!((&other["resumed"], &other["reason"]), (&json!(false), &json!("unknown")));
    assert_ne!(other["session"], ready["session"]);
}

#[tokio::test]
async fn a_full_server_lets_back_in_whom_it_waits_for() {
    let mut config = Config::default();
    config.server.sessions_max = 1;
    let server = server(config).await;
    let (mut client, ready) = Client::begin(&server, returning()).await;
    client.ask("one").await;
    let mut stranger = Client::connect(&server, returning()).await.unwrap();
    assert_eq!(stranger.until("error").await["code"], "full");
    assert_eq!(stranger.until("close").await["code"], 1013);
    drop(client);
    let mut again = returning();
    again["resume"] = json!({ "token": ready["resume"]["token"], "last_n": 99 });
    let (_, back) = Client::begin(&server, again).await;
    assert_eq!(back["session"], ready["session"]);
    assert_eq!((&back["resumed"], &back["reason"]), (&json!(false), &json!("missed")), "nobody has message 99");
}

#[tokio::test]
async fn a_kept_conversation_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let first = server(keeping(&dir)).await;
    let (mut client, ready) = Client::begin(&first, returning()).await;
    let conversation = ready["conversation"].as_str().unwrap().to_owned();
    client.ask("one").await;
    client.tell(json!({ "type": "bye", "flush": true })).await;
    client.until("close").await;
    first.ask_to_stop();
    first.stopped().await;

    // Another server, the same database.
    let second = server(keeping(&dir)).await;
    let (mut client, back) = Client::begin(&second, going_on(&conversation)).await;
    assert_eq!((&back["conversation"], &back["session"]), (&json!(conversation), &ready["session"]));
    assert!(back.get("resumed").is_none());
    assert_eq!(back["items"][0], json!({ "id": 1, "role": "user", "text": "one" }));
    assert_eq!(back["items"][1]["role"], "assistant");
    client.ask("two").await;
    let kept = written(&second, &conversation, 4).await;
    let numbers: Vec<u64> = kept.iter().map(|(item, _, _)| *item).collect();
    assert_eq!(numbers, [1, 2, 3, 4], "{kept:?}");
    assert_eq!((kept[0].1.as_str(), kept[2].1.as_str()), ("one", "two"));
    client.tell(json!({ "type": "bye", "flush": true })).await;
    client.until("close").await;

    let mut unknown = Client::connect(&second, going_on("cnv_01890a5d000070008000000000000000")).await.unwrap();
    assert_eq!(unknown.until("error").await["code"], "unknown_conversation");
    assert_eq!(unknown.until("close").await["code"], 4404);
}

#[tokio::test]
async fn whoever_goes_on_takes_the_conversation_away_from_whoever_held_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(keeping(&dir)).await;
    let (mut old, ready) = Client::begin(&server, returning()).await;
    let conversation = ready["conversation"].as_str().unwrap().to_owned();
    old.ask("one").await;
    old.committed(1).await;
    let (mut new, _) = Client::begin(&server, going_on(&conversation)).await;
    new.ask("two").await;
    assert_eq!(old.until("close").await["code"], 4409);
    new.ask("four").await;
    let words: Vec<String> = written(&server, &conversation, 6).await.into_iter().map(|(_, text, _)| text).collect();
    assert_eq!((words[0].as_str(), words[2].as_str(), words[4].as_str()), ("one", "two", "four"), "{words:?}");
    assert_eq!(words.len(), 6);
}

#[tokio::test]
async fn a_deleted_conversation_ends_its_session() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(keeping(&dir)).await;
    let (mut talking, ready) = Client::begin(&server, returning()).await;
    let path = server.http(&format!("/api/v1/conversations/{}", ready["conversation"].as_str().unwrap()));
    talking.ask("one").await;
    talking.committed(1).await;
    assert_eq!(client().delete(path).send().await.unwrap().status().as_u16(), 204);
    talking.tell(json!({ "type": "text", "text": "two", "reply": true })).await;
    assert_eq!(talking.until("close").await["code"], 4409);
}
