//! A running Floe on a free port, for tests that talk to it over real sockets.

use std::{net::SocketAddr, time::Duration};

use floe::{app, config::Config, session::Engines, store};
use tokio::{net::TcpListener, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

/// The server; ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Server {
    /// Starts one with these engines. It keeps nothing, unless it is given a directory of its own.
    pub(crate) async fn start(mut config: Config, engines: Engines) -> Self {
        if config.store.dir == store::Config::default().dir {
            config.store.engine = store::Engine::None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let app = app::app(&config, engines);
        let mut tasks = JoinSet::new();
        let token = stop.clone();
        tasks.spawn(async move { app::run(listener, &config, app, token).await.unwrap() });
        Self { address, stop, tasks }
    }

    /// `http://…` with this path.
    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address of the voice socket.
    pub(crate) fn stream(&self) -> String {
        format!("ws://{}/v1/stream", self.address)
    }

    /// As SIGTERM does; does not wait.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(mut self) {
        time::timeout(Duration::from_secs(40), self.tasks.join_next())
            .await
            .expect("it stops in time")
            .unwrap()
            .unwrap();
    }
}
