//! A real Redis of the test's own, in a temporary directory on a free loopback port, and a way to it that can be slow.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use floe::store::shared::Config;
use redis::aio::MultiplexedConnection;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};

/// The server. Ends with the test.
pub(crate) struct RedisServer {
    port: u16,
    server: Option<Child>,
    dir: tempfile::TempDir,
}

impl RedisServer {
    /// Starts one; it keeps nothing on disk.
    pub(crate) async fn start() -> Self {
        let mut server = Self::make();
        server.run().await;
        server
    }

    /// One that does not run.
    pub(crate) fn make() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, server: None, dir: tempfile::tempdir().unwrap() }
    }

    /// Starts it, or starts it again, empty.
    pub(crate) async fn run(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let program = program().expect("Redis is missing: `make setup-test` installs it");
        let server = Command::new(program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"])
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(self.dir.path().join("log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.server = Some(server);
        let up = async {
            while self.ask::<String>(&mut redis::cmd("PING")).await.is_err() {
                time::sleep(Duration::from_millis(20)).await;
            }
        };
        time::timeout(Duration::from_secs(60), up).await.expect("Redis starts");
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Settings for it that let time pass quickly.
    pub(crate) fn config(&self) -> Config {
        Config { url: self.url().into(), ..quick() }
    }

    /// A connection of the test's own.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection, redis::RedisError> {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await
    }

    /// One command.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, command: &mut redis::Cmd) -> Result<T, redis::RedisError> {
        command.query_async(&mut self.connect().await?).await
    }

    /// Forgets everything.
    pub(crate) async fn flush(&self) {
        let _ok: String = self.ask(&mut redis::cmd("FLUSHALL")).await.unwrap();
    }

    /// As a crash does.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Hangs it: connections stay open, nobody answers.
    pub(crate) fn hang(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.server.as_ref().expect("it runs").id();
        assert!(Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _gone_already = server.kill();
            let _gone_already = server.wait();
        }
    }
}

/// Settings that let time pass quickly.
pub(crate) fn quick() -> Config {
    Config { timeout_ms: 500, lease_ms: 1_000, resume_window_s: 30, ..Config::default() }
}

fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|place| place.join("redis-server")).find(|program| program.exists())
}

/// A way to a Redis on which everything takes as long as the test says.
pub(crate) struct SlowWay {
    port: u16,
    delay_ms: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl SlowWay {
    pub(crate) async fn to(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let delay_ms = Arc::new(AtomicU64::new(0));
        let (to, delay, mut tasks) = (server.port, Arc::clone(&delay_ms), JoinSet::new());
        tasks.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let (near, far) = (near.into_split(), far.into_split());
                ways.spawn(carry(near.0, far.1, Arc::clone(&delay)));
                ways.spawn(carry(far.0, near.1, Arc::clone(&delay)));
            }
        });
        Self { port, delay_ms, _tasks: tasks }
    }

    pub(crate) fn config(&self) -> Config {
        Config { url: url(self.port).into(), ..quick() }
    }

    /// From now on everything waits this long, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    delay_ms: Arc<AtomicU64>,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        time::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed))).await;
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
