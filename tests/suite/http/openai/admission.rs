//! Row 104, and who is let in where others can reach the server.

use floe::{app, auth::Mode, config::Config};

use super::{open, refused, talk};
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
async fn nobody_listens_for_others_without_asking_for_a_key() {
    let everywhere = |mode| {
        let mut config = Config::default();
        (config.server.listen, config.auth.mode) = ("0.0.0.0:0".into(), mode);
        config
    };
    let error = app::listen(&everywhere(Mode::None)).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("floe keys create") && said.contains("127.0.0.1"), "{said}");
    for mode in [Mode::Auto, Mode::Keys] {
        assert!(app::listen(&everywhere(mode)).await.is_ok(), "{mode:?}");
    }
    let (here, keys) = (true, true);
    let auth = |mode| floe::auth::Config { mode, ..floe::auth::Config::default() };
    assert!(!auth(Mode::Auto).is_locked(!keys, here).unwrap(), "on loopback nobody shows anything");
    assert!(auth(Mode::Auto).is_locked(keys, here).unwrap(), "unless there are keys");
    assert!(auth(Mode::Auto).is_locked(!keys, !here).unwrap() && auth(Mode::Keys).is_locked(!keys, here).unwrap());
    assert!(!auth(Mode::None).is_locked(keys, here).unwrap());
}
