//! What nodes share, seen from outside: conversations go on whatever Redis does, limits count across servers.

use std::time::Duration;

use floe::{config::Config, tts};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{client::IntoClientRequest as _, http::HeaderValue},
};

use super::routes::client;
use crate::support::{
    client::Client,
    duplex::{engines, hello, rhythm},
    redis::RedisServer,
    server::Server,
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn server(config: Config) -> Server {
    Server::start(config, engines(&[], rhythm(1, 1, 4))).await
}

async fn get(server: &Server, path: &str) -> Response {
    client().get(server.http(path)).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("{name} is missing")).to_str().unwrap()
}

/// A conversation that goes on.
struct Talk(Client);

impl Talk {
    async fn begin(server: &Server) -> Self {
        Self(Client::begin(server, hello()).await.0)
    }

    /// Says something, and hears the whole reply.
    async fn say(&mut self, text: &str) {
        let done = self.0.ask(text).await;
        assert_eq!(done["status"], "completed", "{done}");
        assert!(!self.0.seen.iter().any(|event| event["type"] == "error"), "{:?}", self.0.seen);
    }
}

#[tokio::test]
async fn a_conversation_goes_on_whatever_redis_does() {
    let mut redis = RedisServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.dir = dir.path().to_owned();
    config.redis = redis.config();
    config.server.requests_per_minute = 1_000;
    let server = server(config).await;
    let mut talk = Talk::begin(&server).await;
    talk.say("Redis is there").await;
    for round in 0..2 {
        redis.kill();
        for _ in 0..2 {
            talk.say("Redis is dead").await;
            assert_eq!(get(&server, "/api/v1/usage").await.status(), StatusCode::OK);
        }
        let ready = get(&server, "/readyz").await;
        assert_eq!(ready.status(), StatusCode::OK, "nobody needs Redis to talk");
        assert!(ready.text().await.unwrap().contains("Redis is away"));
        redis.run().await;
        talk.say("Redis is back").await;
        redis.hang();
        for _ in 0..3 {
            talk.say("Redis hangs").await;
            assert_eq!(get(&server, "/api/v1/usage").await.status(), StatusCode::OK);
        }
        redis.go_on();
        redis.flush().await;
        talk.say("Redis has forgotten everything").await;
        Talk::begin(&server).await.say(&format!("And others come, round {round}")).await;
    }
    let back = async {
        while get(&server, "/readyz").await.text().await.unwrap() != "ready\n" {
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(PATIENCE, back).await.expect("it is found again");
    let numbers = get(&server, "/metrics").await.text().await.unwrap();
    assert!(numbers.contains("voice_shared_fallbacks_total{what=\"limit\"}"), "limits counted alone for a while");
}

#[tokio::test]
async fn limits_count_across_servers_and_are_told() {
    let redis = RedisServer::start().await;
    let mut config = Config::default();
    config.redis = redis.config();
    config.server.requests_per_minute = 6;
    config.server.keys = "one two".into();
    let (first, second) = (server(config.clone()).await, server(config).await);
    let ask = async |server: &Server, path: &str, key: &str| {
        client().get(server.http(path)).bearer_auth(key).send().await.unwrap()
    };
    for left in ["5", "4", "3"] {
        let response = ask(&first, "/api/v1/usage", "one").await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "these servers keep nothing");
        assert_eq!((header(&response, "ratelimit-limit"), header(&response, "ratelimit-remaining")), ("6", left));
    }
    for left in ["2", "1", "0"] {
        let response = ask(&second, "/v1/models", "one").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "x-ratelimit-limit-requests"), "6");
        assert_eq!(header(&response, "x-ratelimit-remaining-requests"), left);
        assert!(header(&response, "x-ratelimit-reset-requests").ends_with("ms"));
    }
    let refused = ask(&first, "/api/v1/usage", "one").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!((1..=10).contains(&header(&refused, "retry-after").parse::<u32>().unwrap()));
    assert!((1..=60).contains(&header(&refused, "ratelimit-reset").parse::<u32>().unwrap()));
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    assert_eq!(serde_json::from_str::<Value>(&refused.text().await.unwrap()).unwrap()["code"], "rate_limited");
    let refused = ask(&second, "/v1/models", "one").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(header(&refused, "retry-after-ms").parse::<u64>().unwrap() <= 10_000);
    let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "rate_limit_exceeded");
    assert_eq!(body["error"]["type"], "rate_limit_error");
    let other = ask(&second, "/api/v1/usage", "two").await;
    assert_eq!(header(&other, "ratelimit-remaining"), "5", "another key has its own");
    for _ in 0..6 {
        assert_eq!(ask(&first, "/api/v1/usage", "wrong").await.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(ask(&first, "/api/v1/usage", "wronger").await.status(), StatusCode::TOO_MANY_REQUESTS, "trying keys");
    // Conversations have places instead.
    let mut request = first.stream().into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
    request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer one"));
    assert!(connect_async(request).await.is_ok());
}

#[tokio::test]
async fn without_redis_limits_count_by_address_and_only_proxies_are_believed() {
    let mut config = Config::default();
    config.server.requests_per_minute = 3;
    let server = server(config.clone()).await;
    let ask = async |server: &Server, forwarded: &str| {
        let asking = client().get(server.http("/v1/models")).header("x-forwarded-for", forwarded).bearer_auth("any");
        asking.send().await.unwrap()
    };
    for address in ["203.0.113.1", "203.0.113.2", "2001:db8::1"] {
        for left in ["2", "1", "0"] {
            assert_eq!(header(&ask(&server, address).await, "x-ratelimit-remaining-requests"), left);
        }
        assert_eq!(ask(&server, address).await.status(), StatusCode::TOO_MANY_REQUESTS);
    }
    let same_network = ask(&server, "2001:db8::2").await;
    assert_eq!(same_network.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(&server, "203.0.113.9, 203.0.113.1").await.status(), StatusCode::TOO_MANY_REQUESTS);
    config.server.trusted_proxies = String::new();
    let server = self::server(config).await;
    for left in ["2", "1", "0"] {
        let response = ask(&server, &format!("203.0.113.{left}")).await;
        assert_eq!(header(&response, "x-ratelimit-remaining-requests"), left, "nobody's word counts");
    }
}

#[tokio::test]
async fn what_one_server_has_said_twice_another_finds() {
    let redis = RedisServer::start().await;
    let mut config = Config::default();
    config.redis = redis.config();
    config.tts.engine = tts::Engine::Scripted;
    config.tts.scripted.char_ms = 10;
    config.tts.cache_shared = true;
    let serve = async || {
        let mut engines = engines(&[], rhythm(1, 1, 4));
        engines.tts = tts::engine(&config.tts).unwrap();
        Server::start(config.clone(), engines).await
    };
    let speak = async |server: &Server| {
        let body =
            json!({ "model": "tts-1", "input": "One moment, please.", "voice": "any", "response_format": "pcm" });
        let asking = client().post(server.http("/v1/audio/speech")).header("content-type", "application/json");
        let response = asking.body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes().await.unwrap()
    };
    let (first, second) = (serve().await, serve().await);
    let said = speak(&first).await;
    assert_eq!(speak(&first).await, said);
    let shared = async {
        while redis.ask::<Vec<String>>(redis::cmd("KEYS").arg("floe:phrase:*")).await.unwrap().is_empty() {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(PATIENCE, shared).await.expect("said twice, it is shared");
    assert_eq!(speak(&second).await.len(), said.len());
    let numbers = get(&second, "/metrics").await.text().await.unwrap();
    assert!(numbers.contains("voice_shared_phrases_total{outcome=\"hit\"} 1"), "{numbers}");
}
