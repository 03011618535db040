//! A `floe serve` that is killed and started again, with a directory that outlives it.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::time;

/// Longest wait for anything that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The server. Killed when dropped.
pub(crate) struct Node {
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Node {
    /// One that keeps conversations in this Postgres, or if there is none in a file of its own, and shares the rest in this Redis,
    /// if there is one. Its engines need no model: nobody speaks here, replies are written beforehand.
    pub(crate) fn new(postgres: Option<String>, redis: Option<String>) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut settings = vec![
            ("FLOE_STT_ENGINE", "openai".to_owned()),
            ("FLOE_STT_OPENAI_REMOTE_BASE_URL", "http://127.0.0.1:9/v1".to_owned()),
            ("FLOE_AGENT_ENGINE", "scripted".to_owned()),
            ("FLOE_AGENT_SCRIPTED_FIRST_DELTA_MS", "1".to_owned()),
            ("FLOE_AGENT_SCRIPTED_WORD_MS", "1".to_owned()),
            ("FLOE_AGENT_SCRIPTED_WORDS", "4".to_owned()),
            ("FLOE_TTS_ENGINE", "scripted".to_owned()),
            ("FLOE_SERVER_DRAIN_MS", "2000".to_owned()),
        ];
        settings.extend(postgres.map(|url| ("FLOE_STORE_URL", url)));
        settings.extend(redis.map(|url| ("FLOE_REDIS_URL", url)));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, dir: tempfile::tempdir().unwrap(), settings, process: None }
    }

    /// Sets a variable for its next start.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.settings.push((name, value.to_owned()));
    }

    /// The same with one more setting.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// Starts it; it is not ready yet.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_floe"))
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("FLOE_STORE_DIR", self.store())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Waits until it answers.
    pub(crate) async fn answers(&mut self) {
        let (url, log) = (self.http("/livez"), self.dir.path().join("log"));
        let process = self.process.as_mut().expect("it runs");
        until("a server answers", || {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "it ends by itself with {ended:?}: {}", tail(&log));
            let asked = reqwest::get(url.clone());
            async move { asked.await.is_ok_and(|answer| answer.status() == 200).then_some(()) }
        })
        .await;
    }

    /// As the kernel does when memory runs out.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Sends it a signal: `STOP`, `CONT`, `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().expect("it runs").id();
        assert!(Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap().success());
    }

    /// Waits until nothing waits in its spool, asks it to end, and waits until it has: everything is written then.
    pub(crate) async fn finish(&mut self) {
        let url = self.http("/readyz");
        until("the spool is caught up with", || {
            let asked = reqwest::get(url.clone());
            async move { (asked.await.ok()?.text().await.ok()? == "ready\n").then_some(()) }
        })
        .await;
        self.signal("TERM");
        let mut process = self.process.take().expect("it runs");
        let status: ExitStatus = until("it ends", || std::future::ready(process.try_wait().unwrap())).await;
        let log = self.log();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
        assert_eq!(fs::metadata(self.store().join("spool.v1")).unwrap().len(), 0, "the spool is empty: {log}");
        assert!(!self.store().join("spool.rejected").exists(), "nothing was refused: {log}");
    }

    /// Where it keeps things.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Everything it has ever logged.
    pub(crate) fn whole_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }

    fn log(&self) -> String {
        tail(&self.dir.path().join("log"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _gone_already = process.kill();
            let _gone_already = process.wait();
        }
    }
}

/// The end of a file.
fn tail(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(8_192)..]).into_owned()
}

/// Asks until there is an answer.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}
