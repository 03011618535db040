//! The document at `/openapi.json`, and the page that shows it.

use std::{collections::BTreeSet, fs, path::Path};

use floe::config::Config;
use serde_json::Value;

use super::routes::client;
use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
};

/// Routes that no document of REST can describe: sockets, and addresses that answer whatever nobody else does.
pub(super) const UNDOCUMENTED: [&str; 12] = [
    "/console",
    "/v1/stream",
    "/realtime",
    "/openai/realtime",
    "/openai/v1/realtime",
    "/login",
    "/login/callback",
    "/logout",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
];

async fn server() -> Server {
    Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await
}

async fn document(server: &Server) -> Value {
    let response = client().get(server.http("/openapi.json")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Every route given to a router in the source, but the catch-alls and the page: `.route("…"` names it.
fn routed_by_hand() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            // What tests route is no route of ours.
            let text = text.split("#[cfg(test)]").next().unwrap();
            found.extend(text.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    found.retain(|route| !route.ends_with("{*path}") && route != "/");
    found
}

#[tokio::test]
async fn every_route_is_documented_or_known_not_to_be() {
    let known: BTreeSet<String> = UNDOCUMENTED.iter().map(|route| (*route).to_owned()).collect();
    assert_eq!(routed_by_hand(), known, "give the others to utoipa's `routes!`");
}

#[tokio::test]
async fn everything_documented_is_there_and_answers_as_it_says() {
    let server = server().await;
    let document = document(&server).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 13, "{:?}", paths.keys());
    let mut names = BTreeSet::new();
    for (path, operations) in paths {
        let operations = operations.as_object().unwrap();
        let address = server.http(&path.replace("{id}", "nobody"));
        for (method, operation) in operations {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "two operations are called {name}");
            let method = method.to_uppercase().parse::<reqwest::Method>().unwrap();
            let response = client().request(method.clone(), &address).send().await.unwrap();
            let status = response.status();
            let told = &operation["responses"][status.as_str()]["content"];
            assert!(status != 405 && !told.is_null(), "{method} {path} says {status}, which is not documented");
            let kind = response.headers()["content-type"].to_str().unwrap();
            assert!(told.get(kind).is_some(), "{method} {path} says {status} in {kind}: {told}");
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            // Not what the catch-all says.
            assert_ne!(body["detail"], "There is no such resource.", "{method} {path}");
            assert_ne!(body["error"]["code"], "unknown_url", "{method} {path}");
        }
        let other = client().request(reqwest::Method::PATCH, &address).send().await.unwrap();
        assert_eq!(other.status(), 405, "{path}");
    }
    // Bytes are no lists of numbers.
    let raw = &document["paths"]["/api/voice/process"]["post"]["requestBody"]["content"]["application/octet-stream"];
    assert_eq!(raw["schema"]["format"], "binary", "{raw}");
    // Whatever is referred to is there.
    let text = document.to_string();
    for name in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is referred to and not there");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let server = server().await;
    let response = client().get(server.http("/docs/")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(!policy.contains("http"), "{policy}");
    let page = response.text().await.unwrap();
    let named: Vec<&str> =
        page.split('"').filter(|value| [".js", ".css", ".png"].iter().any(|kind| value.ends_with(kind))).collect();
    assert!(named.len() >= 4, "{named:?}");
    for file in named {
        assert!(!file.contains("//"), "{file}");
        let response =
            client().get(server.http(&format!("/docs/{}", file.trim_start_matches("./")))).send().await.unwrap();
        assert_eq!(response.status(), 200, "{file}");
    }
    let initializer = client().get(server.http("/docs/swagger-initializer.js")).send().await.unwrap();
    let initializer = initializer.text().await.unwrap();
    assert!(
        initializer.contains("/openapi.json") && initializer.contains("\"validatorUrl\": \"none\""),
        "{initializer}"
    );
}
