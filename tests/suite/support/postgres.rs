//! A real Postgres of the test's own: a fresh cluster in a temporary directory, on a free loopback port, run by somebody who
//! is not root. Ends with the test.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use floe::store::Config;
use sqlx::{Connection as _, PgConnection};
use tokio::time;

/// The cluster.
pub(crate) struct Cluster {
    programs: PathBuf,
    /// Whom it runs as, if the tests run as root: Postgres refuses to.
    user: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
    dir: tempfile::TempDir,
}

impl Cluster {
    /// Makes one, and starts it.
    pub(crate) async fn start() -> Self {
        let mut cluster = Self::make();
        cluster.run().await;
        cluster
    }

    /// Makes one that does not run.
    pub(crate) fn make() -> Self {
        let programs = programs().expect("Postgres is missing: `make setup-test` installs it");
        let user = is_root().then(unprivileged);
        let dir = tempfile::tempdir().unwrap();
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { programs, user, port, server: None, dir };
        let made = cluster
            .program("initdb")
            .args(["--auth=trust", "--username=floe", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(cluster.data())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb ends with {made}");
        // What tests do to it on purpose is no news.
        cluster.set("log_min_messages = fatal\n");
        cluster
    }

    /// Adds lines to its configuration file, before it runs.
    pub(crate) fn set(&self, settings: &str) {
        let file = self.data().join("postgresql.conf");
        let lines = fs::read_to_string(&file).unwrap() + "\n" + settings;
        fs::write(&file, lines).unwrap();
    }

    /// Starts it, or starts it again after a [`Cluster::kill`].
    pub(crate) async fn run(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let up = async {
            loop {
                // After a kill the old processes take a moment to notice; until then a new server refuses to start.
                if self.server.as_mut().is_none_or(|server| server.try_wait().unwrap().is_some()) {
                    self.server = Some(self.spawn());
                }
                if let Ok(connection) = PgConnection::connect(&self.url("postgres")).await {
                    return connection.close().await.unwrap();
                }
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        time::timeout(Duration::from_secs(60), up).await.expect("Postgres starts");
    }

    fn spawn(&self) -> Child {
        self.program("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.dir.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            // Processes are killed here, not the machine: what was handed to the kernel stays.
            .args(["-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.dir.path().join("log")).unwrap())
            .spawn()
            .unwrap()
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://floe@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database, and a configuration for it with a directory of its own.
    pub(crate) async fn database(&self, name: &str, dir: &Path) -> Config {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        self.config(name, dir)
    }

    /// A configuration for a database.
    pub(crate) fn config(&self, name: &str, dir: &Path) -> Config {
        Config { url: self.url(name).into(), dir: dir.to_owned(), ..Config::default() }
    }

    /// Everything in a database, as `pg_dump` writes it.
    pub(crate) fn dump(&self, database: &str) -> String {
        let dumped = self.program("pg_dump").args(["--clean", "--if-exists", &self.url(database)]).output().unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        String::from_utf8(dumped.stdout).unwrap()
    }

    /// Puts a dump in place of what is there.
    pub(crate) fn restore(&self, database: &str, dump: &str) {
        let file = self.dir.path().join("dump.sql");
        fs::write(&file, dump).unwrap();
        let url = self.url(database);
        let restored =
            self.program("psql").args(["-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&file).arg(&url).output().unwrap();
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    }

    /// As a crash does.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        let mut server = self.server.take().expect("it runs");
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

    /// The postmaster and everything it has started.
    fn signal(&self, signal: &str) {
        let Some(server) = &self.server else { return };
        // The postmaster first, so that it starts nobody new.
        for pid in std::iter::once(server.id()).chain(children(server.id())) {
            let _gone_already =
                Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal("KILL");
        if let Some(server) = &mut self.server {
            let _gone_already = server.wait();
        }
    }
}

/// Where initdb and postgres lie: on the path, or where Debian puts them.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = debian.into_iter().rev().chain(std::env::split_paths(&path).collect::<Vec<_>>());
    places.find(|place| place.join("initdb").exists() && place.join("postgres").exists())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Postgres' own user if there is one, else nobody.
fn unprivileged() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody")).expect("a user who is not root")
}

/// Processes that this one started.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name in parentheses: the state, then the parent.
        let of: u32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        (of == parent).then_some(pid)
    };
    processes.filter_map(child).collect()
}
