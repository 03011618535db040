//! What goes on after a conversation, as the API tells it: summaries, jobs, webhooks, one user's things, the trail.

use std::time::Duration;

use floe::config::Config;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time;

use super::{conversations, routes::client};
use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
};

async fn server(dir: &tempfile::TempDir) -> Server {
    let mut config = Config::default();
    config.store.dir = dir.path().to_owned();
    config.agent.engine = floe::agent::EngineName::Scripted;
    config.jobs.poll_ms = 50;
    Server::start(config, engines(&[], rhythm(1, 1, 4))).await
}

async fn ask(server: &Server, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let mut request = client().request(method, server.http(&format!("/api/v1{path}")));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
}

async fn get(server: &Server, path: &str) -> Value {
    let (status, body) = ask(server, Method::GET, path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

async fn until(server: &Server, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let body = get(server, path).await;
            if is_so(&body) {
                return body;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("not in time: {path}"))
}

#[tokio::test]
async fn a_conversation_is_summed_up_and_its_job_can_be_seen_and_retried() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir).await;
    let said = conversations::converse(&server, &["hello"]).await;
    let id = said[0]["conversation"].as_str().unwrap();
    let summed = until(&server, &format!("/conversations/{id}"), |body| !body["summary"].is_null()).await;
    assert_eq!(summed["summary_by"], "scripted", "the model that was configured");
    assert_eq!((&summed["consent"], &summed["user"]), (&Value::Null, &Value::Null));
    let jobs = until(&server, "/jobs?kind=summarise&state=done", |body| body["data"][0].is_object()).await;
    let job = &jobs["data"][0];
    assert_eq!((&job["object"], &job["subject"], &job["attempts"]), (&json!("job"), &json!(id), &json!(1)));
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(get(&server, &path).await["kind"], "summarise");
    let (status, again) = ask(&server, Method::POST, &format!("{path}/retry"), None).await;
    assert_eq!(status, StatusCode::OK, "{again}");
    until(&server, &path, |job| job["state"] == "done" && job["attempts"] == 1).await;
    assert_eq!(ask(&server, Method::GET, "/jobs?state=lost", None).await.0, StatusCode::BAD_REQUEST);
    for unknown in ["/jobs/job_0", "/jobs/job_0199f3a1c2d47e0b8f6a5b4c3d2e1f00"] {
        assert_eq!(ask(&server, Method::GET, unknown, None).await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(&server, Method::POST, &format!("{unknown}/retry"), None).await.0, StatusCode::NOT_FOUND);
    }
    let first = get(&server, "/jobs?limit=1").await;
    assert_eq!(first["data"].as_array().unwrap().len(), 1);
    if first["has_more"] == true {
        let rest = get(&server, &format!("/jobs?limit=100&after={}", first["next"].as_str().unwrap())).await;
        assert!(rest["data"].as_array().unwrap().iter().all(|job| job["id"] != first["data"][0]["id"]));
    }
}

#[tokio::test]
async fn webhooks_are_made_with_a_secret_that_is_told_once_and_only_to_public_places() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir).await;
    let make = async |body: Value| ask(&server, Method::POST, "/webhooks", Some(body)).await;
    let (status, made) = make(json!({"url": "https://example.org/floe"})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(made["events"].as_array().unwrap().len(), 3);
    let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
    let read = get(&server, &path).await;
    assert!(read.get("secret").is_none() && get(&server, "/webhooks").await["data"][0] == read);
    for refused in [
        json!({"url": "http://example.org/"}),
        json!({"url": "https://169.254.169.254/latest/meta-data"}),
        json!({"url": "https://localhost/"}),
        json!({"url": "https://[::1]/"}),
        json!({"url": "https://2130706433/"}),
        json!({"url": "nonsense"}),
        json!({"url": "https://example.org/", "events": []}),
        json!({"url": "https://example.org/", "events": ["conversation.begun"]}),
        json!({"url": "https://example.org/", "secret": "mine"}),
        json!([]),
    ] {
        let (status, problem) = make(refused.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}: {problem}");
    }
    // A named request is done once, and its secret is not kept to be told again.
    let named = async || {
        let request = client().post(server.http("/api/v1/webhooks")).header("idempotency-key", "one");
        request.body(json!({"url": "https://example.org/named"}).to_string()).send().await.unwrap()
    };
    assert_eq!(named().await.status(), StatusCode::CREATED);
    let again = named().await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    assert!(!again.text().await.unwrap().contains("whsec_"));
    assert_eq!(get(&server, "/webhooks").await["data"].as_array().unwrap().len(), 2);
    let (status, sent) = ask(&server, Method::POST, &format!("{path}/test"), None).await;
    assert_eq!((status, &sent["object"]), (StatusCode::ACCEPTED, &json!("webhook.test")));
    assert_eq!(ask(&server, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(ask(&server, method, &path, None).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(ask(&server, Method::POST, &format!("{path}/test"), None).await.0, StatusCode::NOT_FOUND);
    for number in 1..20 {
        assert_eq!(make(json!({"url": format!("https://example.org/{number}")})).await.0, StatusCode::CREATED);
    }
    assert_eq!(make(json!({"url": "https://example.org/one-more"})).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn whoever_reads_leaves_a_trail_and_a_user_of_whom_nothing_is_kept_exports_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir).await;
    let said = conversations::converse(&server, &["hello"]).await;
    let id = said[0]["conversation"].as_str().unwrap();
    conversations::ended(&server, id).await;
    get(&server, "/conversations").await;
    get(&server, "/search?q=confidential").await;
    let export = get(&server, "/users/anna/export").await;
    assert_eq!((&export["user"], &export["conversations"]), (&json!("anna"), &json!([])));
    let (status, erasure) = ask(&server, Method::DELETE, "/users/anna", None).await;
    assert_eq!((status, &erasure["user"]), (StatusCode::ACCEPTED, &json!("anna")));
    assert_eq!(ask(&server, Method::DELETE, &format!("/conversations/{id}"), None).await.0, StatusCode::NO_CONTENT);
    let done = |body: &Value| body["data"].as_array().unwrap().iter().any(|entry| entry["action"] == "delete");
    let trail = until(&server, "/audit?limit=100", done).await;
    let told: Vec<(&str, &str)> = trail["data"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["subject"].as_str().unwrap()))
        .filter(|(action, _)| *action != "read")
        .collect();
    let expected = [
        ("list", "conversations"),
        ("search", "conversations"),
        ("export_user", "anna"),
        ("erase_user", "anna"),
        ("delete", id),
    ];
    assert_eq!(told, expected);
    assert!(trail["data"].as_array().unwrap().iter().any(|entry| entry["action"] == "read" && entry["subject"] == id));
    assert!(!trail.to_string().contains("confidential"));
    assert!(trail["data"].as_array().unwrap().iter().all(|entry| entry["principal"] == "anybody"));
    let noted = std::fs::read_to_string(dir.path().join("erasures.v1")).unwrap();
    assert!(noted.contains("\"anna\""), "{noted}");
}
