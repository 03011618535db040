//! Caddy on free loopback ports, and instances of Floe behind it. Everything ends with the test.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use floe::caller::{self, trust};
use rustls::ClientConfig;
use tokio::time;

/// The key of every instance.
pub(super) const KEY: &str = "sk_site_9fQ2xwL0";

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy and who stands behind it.
pub(super) struct Site {
    pub(super) instances: Vec<Instance>,
    pub(super) port: u16,
    pub(super) http_port: u16,
    pub(super) trust: Arc<ClientConfig>,
    caddy: Child,
    upstreams: String,
    dir: tempfile::TempDir,
}

impl Site {
    /// Two instances with these settings.
    pub(super) async fn start(settings: &[(&str, &str)]) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut instances = Vec::new();
        for _ in 0..2 {
            instances.push(Instance::spawn(free_port(), settings));
        }
        for instance in &instances {
            instance.ready().await;
        }
        let ports: Vec<u16> = instances.iter().map(|instance| instance.port).collect();
        let mut site = Self::before(&ports).await;
        site.instances = instances;
        site
    }

    /// Only the proxy, in front of whatever listens on these ports and says on `/readyz` that it is ready.
    pub(super) async fn before(ports: &[u16]) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let (port, http_port) = (free_port(), free_port());
        let upstreams: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let upstreams = upstreams.join(" ");
        let log = File::create(dir.path().join("log")).unwrap();
        let caddy = command(dir.path(), port, http_port, &upstreams)
            .args(["run", "--config", CADDYFILE])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let root = dir.path().join("data/caddy/pki/authorities/local/root.crt");
        let trust = until("Caddy makes its certificates", async || trust::authorities(root.to_str()?).ok()).await;
        let site = Self { instances: Vec::new(), port, http_port, trust, caddy, upstreams, dir };
        let client = site.client();
        until("somebody answers", async || {
            let answer = client.get(site.https("/")).send().await.ok()?;
            (answer.status() != 502 && answer.status() != 503).then_some(())
        })
        .await;
        site
    }

    pub(super) fn https(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    pub(super) fn wss(&self, path: &str) -> String {
        format!("wss://localhost:{}{path}", self.port)
    }

    /// A client that believes nobody but this Caddy, and goes where it is told by nobody.
    pub(super) fn client(&self) -> reqwest::Client {
        reqwest::Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(&self.trust))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap()
    }

    /// How to call it.
    pub(super) fn options(&self) -> caller::Options {
        caller::Options {
            token: Some(KEY.into()),
            trust: Some(Arc::clone(&self.trust)),
            ..caller::Options::new(self.wss("/v1/stream"))
        }
    }

    /// Everything that Caddy has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Loads the same configuration again.
    pub(super) fn reload(&self) {
        let reloaded = command(self.dir.path(), self.port, self.http_port, &self.upstreams)
            .args(["reload", "--force", "--config", CADDYFILE])
            .output()
            .unwrap();
        assert!(reloaded.status.success(), "{}", String::from_utf8_lossy(&reloaded.stderr));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _gone_already = self.caddy.kill();
        let _gone_already = self.caddy.wait();
    }
}

/// A `floe serve` of its own.
pub(super) struct Instance {
    pub(super) port: u16,
    process: Child,
    _dir: tempfile::TempDir,
}

impl Instance {
    /// Starts one; it is not ready yet.
    pub(super) fn spawn(port: u16, settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_floe"))
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("FLOE_SERVER_KEYS", KEY)
            .env("FLOE_STT_MODEL", crate::support::bundled_model())
            .env("FLOE_STORE_DIR", dir.path())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { port, process, _dir: dir }
    }

    /// Waits until it is.
    pub(super) async fn ready(&self) {
        let client = reqwest::Client::new();
        let url = format!("http://127.0.0.1:{}/readyz", self.port);
        until("an instance is ready", async || {
            client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// One of its numbers, asked for behind the proxy's back; 0 if it never counted that.
    pub(super) async fn number(&self, name: &str) -> f64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.unwrap_or_default()
    }

    /// As a crash does.
    pub(super) fn crash(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// As `systemctl stop` does; does not wait.
    pub(super) fn ask_to_stop(&self) {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.process.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has stopped.
    pub(super) async fn stopped(&mut self) -> ExitStatus {
        until("it stops", async || self.process.try_wait().unwrap()).await
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _gone_already = self.process.wait();
    }
}

/// Asks until there is an answer.
pub(super) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

const CADDYFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Caddyfile");

fn command(dir: &Path, port: u16, http_port: u16, upstreams: &str) -> Command {
    let streams = if version() >= (2, 7) { "2.7" } else { "2.6" };
    let mut command = plain(dir);
    command
        .env("SITE", format!("localhost:{port}"))
        .env("SITE_BIND", "127.0.0.1")
        .env("SITE_HTTP_PORT", http_port.to_string())
        .env("SITE_ADMIN", format!("unix/{}", dir.join("admin.sock").display()))
        .env("SITE_UPSTREAMS", upstreams)
        .env("SITE_STREAMS", streams);
    command
}

/// Caddy, with nothing but a directory of its own.
pub(super) fn plain(dir: &Path) -> Command {
    let mut command = Command::new(program());
    command
        .env_clear()
        .env("HOME", dir)
        .env("XDG_DATA_HOME", dir.join("data"))
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .stdin(Stdio::null());
    command
}

/// The one that `CADDY` names, else the one on the path, else the one that the Makefile has fetched.
fn program() -> PathBuf {
    let named = std::env::var_os("CADDY").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|place| place.join("caddy")).find(|program| program.is_file());
    let fetched = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/caddy/usr/bin/caddy");
    let found = named.or(on_path).unwrap_or(fetched);
    assert!(found.is_file(), "there is no {}: `make setup-test` fetches Caddy", found.display());
    found
}

/// The first two numbers of its version.
pub(super) fn version() -> (u32, u32) {
    let said = Command::new(program()).arg("version").env_clear().output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let mut numbers = said.trim_start_matches('v').split('.').map(|number| number.parse().unwrap_or_default());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
