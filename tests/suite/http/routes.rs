//! Health, numbers, the page.

use floe::config::Config;

use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
};

async fn get(url: String) -> (u16, reqwest::header::HeaderMap, String) {
    let response = client().get(url).send().await.unwrap();
    (response.status().as_u16(), response.headers().clone(), response.text().await.unwrap())
}

pub(super) fn client() -> reqwest::Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).build().unwrap()
}

#[tokio::test]
async fn it_says_that_it_lives_and_is_ready_and_what_it_counts() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await;
    assert_eq!(get(server.http("/livez")).await.0, 200);
    assert_eq!(get(server.http("/readyz")).await.0, 200);
    let (status, headers, text) = get(server.http("/metrics")).await;
    assert_eq!(status, 200);
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert!(text.contains("voice_sessions_active 0"), "{text}");
}

#[tokio::test]
async fn the_page_comes_with_a_strict_policy_and_everything_it_names() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await;
    let (status, headers, page) = get(server.http("/")).await;
    assert_eq!(status, 200);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(!policy.contains("unsafe") && !policy.contains("blob"), "{policy}");
    assert!(policy.contains("default-src 'none'") && policy.contains("require-trusted-types-for 'script'"), "{policy}");
    assert!(headers["permissions-policy"].to_str().unwrap().contains("microphone=(self)"), "{headers:?}");
    assert!(!headers.contains_key("access-control-allow-origin"), "other pages have no business with this one");
    let named: Vec<&str> =
        page.split('"').filter(|value| [".js", ".css", ".svg"].iter().any(|kind| value.ends_with(kind))).collect();
    assert!(named.len() >= 2, "the page names its script and its style: {named:?}");
    for file in named {
        let path = format!("/{}", file.trim_start_matches(['.', '/']));
        let (status, headers, _) = get(server.http(&path)).await;
        assert_eq!(status, 200, "{path}");
        assert_ne!(headers["content-type"], "application/octet-stream", "{path}");
    }
    assert_eq!(get(server.http("/nothing-here")).await.0, 404);
    assert_eq!(get(server.http("/../Cargo.toml")).await.0, 404);
    assert_eq!(get(server.http("/%2e%2e/Cargo.toml")).await.0, 404);
}

#[tokio::test]
async fn the_widget_is_for_the_pages_of_others_and_is_sent_once() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await;
    for path in ["/widget.js", "/voice.js", "/worklet.js"] {
        let (status, headers, script) = get(server.http(path)).await;
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (200, "text/javascript; charset=utf-8"),
            "{path}"
        );
        assert_eq!(headers["access-control-allow-origin"], "*", "{path}");
        assert_eq!(headers["cache-control"], "no-cache", "{path}");
        assert!(script.len() > 1_000, "{path} is empty");
        let tag = headers["etag"].to_str().unwrap();
        for (asked, wanted) in
            [(tag.to_owned(), 304), (format!("\"other\", W/{tag}"), 304), ("\"other\"".to_owned(), 200)]
        {
            let again = client().get(server.http(path)).header("if-none-match", &asked).send().await.unwrap();
            assert_eq!(
                (again.status().as_u16(), &again.headers()["etag"]),
                (wanted, &headers["etag"]),
                "{path} {asked}"
            );
        }
    }
}
