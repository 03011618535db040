//! Row 104, and keys without which nobody else could reach the server.

use floe::{app, config::Config};

use super::{locked, open, refused, talk};
use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
};

#[tokio::test]
async fn row_104_full_means_503_with_a_time_or_an_event_and_a_close() {
    let mut config = Config::default();
    config.server.sessions_max = 1;
    let server = Server::start(config, engines(&[], rhythm(1, 1, 1))).await;
    let (_client, _) = talk(&server).await;
    let (status, wait, body) = refused(open(&server, "/v1/realtime?model=m", &[]).await);
    assert_eq!((status, wait.as_deref()), (503, Some("5")));
    assert_eq!((body["error"]["type"].as_str(), body["error"]["code"].as_str()), (Some("server_error"), Some("full")));
    let own = format!("http://{}", server.address);
    let (mut page, _) = open(&server, "/v1/realtime?model=m", &[("origin", &own)]).await.unwrap();
    let (error, code) = page.closed().await;
    assert_eq!((code, error["code"].as_str()), (4429, Some("full")));
}

#[tokio::test]
async fn others_reach_it_only_with_keys_or_if_it_is_open() {
    let everywhere = |mut config: Config| {
        config.server.listen = "0.0.0.0:0".into();
        config
    };
    let error = app::listen(&everywhere(Config::default())).await.unwrap_err();
    assert!(error.to_string().contains("server.keys"), "{error}");
    assert!(app::listen(&everywhere(locked())).await.is_ok());
    let mut open = everywhere(Config::default());
    open.server.open = true;
    assert!(app::listen(&open).await.is_ok());
}
