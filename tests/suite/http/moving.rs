//! Two servers on one Postgres and one Redis: a conversation moves from one to the other.

use std::{path::Path, time::Duration};

use floe::config::Config;
use serde_json::{Value, json};
use tokio::time;

use super::going_on::{going_on, returning, server, written};
use crate::support::{client::Client, postgres::Cluster, redis::RedisServer};

/// A server of its own on what both share.
async fn node(postgres: &Cluster, redis: &RedisServer, dir: &Path) -> Config {
    let mut config = Config { redis: redis.config(), ..Config::default() };
    config.store = postgres.config("floe", dir);
    config
}

/// Waits until Redis has the state of this conversation with so many items, and a token.
async fn left_behind(redis: &RedisServer, session: &Value, items: usize) {
    let key = format!("floe:snapshot:{}", session.as_str().unwrap());
    let waiting = async {
        loop {
            let state: Option<String> = redis.ask(redis::cmd("HGET").arg(&key).arg("state")).await.unwrap();
            let tokens: Vec<String> = redis.ask(redis::cmd("KEYS").arg("floe:token:*")).await.unwrap();
            let held = state.map_or(0, |state| {
                let state: Value = serde_json::from_str(&state).unwrap();
                state["items"].as_array().unwrap().len()
            });
            if held >= items && !tokens.is_empty() {
                return;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(Duration::from_secs(30), waiting).await.expect("the state is left in Redis");
}

#[tokio::test]
async fn a_token_leads_to_the_conversation_on_another_server() {
    let dir = tempfile::tempdir().unwrap();
    let (postgres, redis) = (Cluster::start().await, RedisServer::start().await);
    postgres.database("floe", dir.path()).await;
    let first = server(node(&postgres, &redis, &dir.path().join("a")).await).await;
    let (mut client, ready) = Client::begin(&first, returning()).await;
    client.ask("one").await;
    left_behind(&redis, &ready["session"], 2).await;
    written(&first, ready["conversation"].as_str().unwrap(), 2).await;
    // As if its machine had lost power: nothing is said, nothing is written.
    drop(first);

    let second = server(node(&postgres, &redis, &dir.path().join("b")).await).await;
    let mut again = returning();
    again["resume"] = json!({ "token": ready["resume"]["token"], "last_n": 3 });
    let (mut client, back) = Client::begin(&second, again.clone()).await;
    assert_eq!((&back["resumed"], &back["reason"]), (&json!(false), &json!("unknown")));
    assert_eq!((&back["conversation"], &back["session"]), (&ready["conversation"], &ready["session"]));
    assert_eq!(back["items"].as_array().unwrap().len(), 2, "{back}");
    client.ask("two").await;
    let conversation = ready["conversation"].as_str().unwrap();
    let words: Vec<String> = written(&second, conversation, 4).await.into_iter().map(|(_, text, _)| text).collect();
    assert_eq!((words[0].as_str(), words[2].as_str(), words.len()), ("one", "two", 4));

    let (_, stranger) = Client::begin(&second, again).await;
    assert_ne!(stranger["conversation"], ready["conversation"], "a token is good once, here as there");
}

#[tokio::test]
async fn what_only_a_lost_servers_disk_and_redis_know_goes_on_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut postgres, redis) = (Cluster::start().await, RedisServer::start().await);
    postgres.database("floe", dir.path()).await;
    let first = server(node(&postgres, &redis, &dir.path().join("a")).await).await;
    let (mut client, ready) = Client::begin(&first, returning()).await;
    let conversation = ready["conversation"].as_str().unwrap().to_owned();
    client.ask("one").await;
    written(&first, &conversation, 2).await;
    postgres.kill();
    client.ask("two, which only the spool has").await;
    let turn = client.committed(3).await;
    assert_eq!(turn["durable"], true, "it is on the disk of the first server");
    left_behind(&redis, &ready["session"], 4).await;
    drop(first);
    postgres.run().await;

    let second = server(node(&postgres, &redis, &dir.path().join("b")).await).await;
    let (mut client, back) = Client::begin(&second, going_on(&conversation)).await;
    let said: Vec<&str> = back["items"].as_array().unwrap().iter().filter_map(|item| item["text"].as_str()).collect();
    assert_eq!((said.len(), said[2]), (4, "two, which only the spool has"));
    client.ask("three").await;
    let words = |kept: Vec<(u64, String, u64)>| kept.into_iter().map(|(_, text, _)| text).collect::<Vec<String>>();
    let known = words(written(&second, &conversation, 4).await);
    assert_eq!((known[0].as_str(), known[2].as_str()), ("one", "three"), "the others are on the first server's disk");

    // The first one is back, and adds what its spool has, where it belongs.
    let first = server(node(&postgres, &redis, &dir.path().join("a")).await).await;
    let known = words(written(&first, &conversation, 6).await);
    assert_eq!((known[2].as_str(), known[4].as_str()), ("two, which only the spool has", "three"));
    assert_eq!(known.len(), 6, "{known:?}");
    drop(first);
    // And whoever goes on a third time is told everything once.
    client.committed(5).await;
    left_behind(&redis, &ready["session"], 6).await;
    let third = server(node(&postgres, &redis, &dir.path().join("c")).await).await;
    let (_, back) = Client::begin(&third, going_on(&conversation)).await;
    let said: Vec<&str> = back["items"].as_array().unwrap().iter().filter_map(|item| item["text"].as_str()).collect();
    assert_eq!(said, known);
}

#[tokio::test]
async fn whoever_had_it_is_told_by_redis() {
    let dir = tempfile::tempdir().unwrap();
    let (postgres, redis) = (Cluster::start().await, RedisServer::start().await);
    postgres.database("floe", dir.path()).await;
    let first = server(node(&postgres, &redis, &dir.path().join("a")).await).await;
    let second = server(node(&postgres, &redis, &dir.path().join("b")).await).await;
    let (mut old, ready) = Client::begin(&first, returning()).await;
    old.ask("one").await;
    left_behind(&redis, &ready["session"], 2).await;
    old.committed(1).await;
    let (mut new, _) = Client::begin(&second, going_on(ready["conversation"].as_str().unwrap())).await;
    // Without writing anything itself.
    assert_eq!(old.until("close").await["code"], 4409);
    new.ask("two").await;
}
