//! Rows 1 to 6, 10, 13 and 14: who is let in, and how the upgrade is answered.

use floe::config::Config;

use super::{KEY, locked, open, refused};
use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
};

async fn server(config: Config) -> Server {
    Server::start(config, engines(&["hello"], rhythm(1, 1, 3))).await
}

fn bearer() -> String {
    format!("Bearer {KEY}")
}

#[tokio::test]
async fn row_1_any_model_is_let_in_with_a_key_under_every_address() {
    let server = server(locked()).await;
    let paths = [
        "/v1/realtime?model=gpt-realtime",
        "/v1/realtime?model=whatever%20you%20like",
        "/v1/realtime",
        "/realtime?model=m",
        "/openai/v1/realtime?model=m",
        "/openai/realtime?api-version=2025-04-01&deployment=mine",
    ];
    for path in paths {
        let (mut client, _) = open(&server, path, &[("authorization", &bearer())]).await.unwrap();
        let created = client.next().await;
        assert_eq!(created["type"], "session.created", "{path}");
    }
    let (mut client, _) = open(&server, paths[5], &[("api-key", KEY)]).await.unwrap();
    assert_eq!(client.next().await["session"]["model"], "mine");
    let (mut client, _) = open(&server, paths[0], &[("authorization", "Bearer sk_old_and_going")]).await.unwrap();
    assert_eq!(client.next().await["session"]["model"], "gpt-realtime");
    let transcription = "/v1/realtime?intent=transcription";
    let (mut client, _) = open(&server, transcription, &[("authorization", &bearer())]).await.unwrap();
    assert_eq!(client.next().await["session"]["type"], "transcription");
}

#[tokio::test]
async fn row_2_without_the_right_key_it_is_401_in_their_shape() {
    let server = server(locked()).await;
    for headers in [&[][..], &[("authorization", "Bearer sk_wrong")], &[("authorization", "Bearer sk_test_Zk3vJq8x")]] {
        let (status, _, body) = refused(open(&server, "/v1/realtime?model=m", headers).await);
        assert_eq!(status, 401);
        assert_eq!(body["error"]["code"], "invalid_api_key");
        assert_eq!(body["error"]["type"], "authentication_error");
        assert!(body["error"]["message"].as_str().unwrap().len() > 20);
        assert!(body["error"]["param"].is_null());
        assert!(!body.to_string().contains("sk_"), "{body}");
    }
    let (status, _, _) = refused(open(&server, "/v1/realtime?call_id=rtc_1", &[("authorization", &bearer())]).await);
    assert_eq!(status, 404);
}

#[tokio::test]
async fn row_3_a_browser_is_told_on_the_socket() {
    let server = server(locked()).await;
    let own = format!("http://{}", server.address);
    let headers = [("origin", own.as_str()), ("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk_bad")];
    let (mut client, response) = open(&server, "/v1/realtime?model=m", &headers).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "realtime");
    let (error, code) = client.closed().await;
    assert_eq!(code, 4401);
    assert_eq!(error["code"], "invalid_api_key");
    assert!(!error.to_string().contains("sk_bad"));
    let headers = [("origin", own.as_str()), ("authorization", &bearer())];
    let (mut client, _) = open(&server, "/v1/realtime?call_id=1", &headers).await.unwrap();
    assert_eq!(client.closed().await.1, 4404);
}

#[tokio::test]
async fn rows_4_and_5_realtime_is_selected_when_offered_and_nothing_otherwise() {
    let server = server(Config::default()).await;
    for offered in ["realtime", "openai-insecure-api-key.k, realtime, openai-beta.realtime-v1", "x,realtime"] {
        let headers = [("sec-websocket-protocol", offered)];
        let (_, response) = open(&server, "/v1/realtime?model=m", &headers).await.unwrap();
        let selected: Vec<_> = response.headers().get_all("sec-websocket-protocol").iter().collect();
        assert_eq!(selected, ["realtime"], "{offered}");
    }
    let (_, response) = open(&server, "/v1/realtime?model=m", &[]).await.unwrap();
    assert!(!response.headers().contains_key("sec-websocket-protocol"));
}

#[tokio::test]
async fn row_6_a_browser_hides_its_key_in_a_subprotocol_and_never_sees_it_again() {
    let server = server(locked()).await;
    let offered = format!("realtime, openai-insecure-api-key.{KEY}, openai-agents-sdk.0.20.0");
    let headers = [("sec-websocket-protocol", offered.as_str())];
    let (mut client, response) = open(&server, "/v1/realtime?model=m", &headers).await.unwrap();
    assert!(!format!("{response:?}").contains(KEY));
    let created = client.next().await;
    assert_eq!(created["type"], "session.created");
    assert!(!created.to_string().contains(KEY));
}

#[tokio::test]
async fn row_10_pages_from_elsewhere_need_to_be_listed() {
    let mut config = Config::default();
    config.server.origins = "https://shop.example".into();
    let server = server(config).await;
    let (mut client, _) = open(&server, "/v1/realtime?model=m", &[("origin", "https://evil.example")]).await.unwrap();
    let (error, code) = client.closed().await;
    assert_eq!((code, error["code"].as_str()), (4403, Some("origin_not_allowed")));
    for origin in ["https://shop.example".to_owned(), format!("http://{}", server.address)] {
        let (mut client, _) = open(&server, "/v1/realtime?model=m", &[("origin", &origin)]).await.unwrap();
        assert_eq!(client.next().await["type"], "session.created");
    }
}

#[tokio::test]
async fn row_10_the_wildcard_is_a_setting() {
    let mut config = Config::default();
    config.server.origins = "*".into();
    let server = server(config).await;
    let (mut client, _) = open(&server, "/v1/realtime?model=m", &[("origin", "https://any.example")]).await.unwrap();
    assert_eq!(client.next().await["type"], "session.created");
}

#[tokio::test]
async fn row_13_compression_is_declined() {
    let server = server(Config::default()).await;
    let offer = [("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")];
    let (mut client, response) = open(&server, "/v1/realtime?model=m", &offer).await.unwrap();
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    assert_eq!(client.next().await["type"], "session.created");
}

#[tokio::test]
async fn row_14_a_key_in_the_address_needs_to_be_allowed() {
    let path = format!("/v1/realtime?model=m&api_key={KEY}");
    let shut = server(locked()).await;
    let (status, _, body) = refused(open(&shut, &path, &[]).await);
    assert_eq!(status, 401);
    assert!(body["error"]["message"].as_str().unwrap().contains("server.query_keys"));
    assert!(!body.to_string().contains(KEY));
    let mut config = locked();
    config.server.query_keys = true;
    let lax = server(config).await;
    assert!(open(&lax, &path, &[]).await.is_ok());
    assert_eq!(refused(open(&lax, "/v1/realtime?api_key=sk_wrong", &[]).await).0, 401);
}

#[tokio::test]
async fn the_native_socket_asks_for_the_same_key() {
    let server = server(locked()).await;
    let native = [("sec-websocket-protocol", "floe.v1")];
    match open(&server, "/v1/stream", &native).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => assert_eq!(response.status().as_u16(), 401),
        other => panic!("{:?}", other.map(|_| ())),
    }
    let with_bearer = [("sec-websocket-protocol", "floe.v1"), ("authorization", &bearer())];
    assert!(open(&server, "/v1/stream", &with_bearer).await.is_ok());
    let offered = format!("floe.v1, floe.auth.{KEY}");
    let (_, response) = open(&server, "/v1/stream", &[("sec-websocket-protocol", &offered)]).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "floe.v1");
}
