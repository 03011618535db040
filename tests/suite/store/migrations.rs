//! Tables are made once, however many want to make them, and whoever is killed on the way.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use floe::store::{Config, Error, Store};
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::{task::JoinSet, time};

use crate::support::postgres::Cluster;

/// The numbers of all steps.
const STEPS: &[i64] = &[1, 2, 3, 4, 5];

/// `floe migrate` in a process of its own.
fn migrator(config: &Config) -> Child {
    Command::new(env!("CARGO_BIN_EXE_floe"))
        .arg("migrate")
        .env_clear()
        .env("FLOE_STORE_DIR", &config.dir)
        .env("DATABASE_URL", config.url.expose_secret())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn applied(config: &Config) -> Vec<i64> {
    let sql = "SELECT version FROM _sqlx_migrations ORDER BY version";
    let url = config.url.expose_secret();
    let rows: Vec<(i64,)> = if url.is_empty() {
        let mut connection = SqliteConnection::connect(config.file().to_str().unwrap()).await.unwrap();
        sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
    };
    rows.into_iter().map(|(version,)| version).collect()
}

/// Several at once, in this process and in others; then some that are killed on the way, and one that is not.
async fn many_migrators(fresh: Config, other: Config) {
    let processes: Vec<Child> = (0..3).map(|_| migrator(&fresh)).collect();
    let mut here = JoinSet::new();
    for _ in 0..4 {
        let config = fresh.clone();
        here.spawn(async move { Store::open(&config).await.map(|store| store.unwrap().is_ready()) });
    }
    for done in here.join_all().await {
        assert!(done.expect("nobody is in anybody's way"));
    }
    for process in processes {
        let done = process.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(applied(&fresh).await, STEPS);

    for ms in [0, 5, 10, 15, 20, 30, 40, 60] {
        let mut process = migrator(&other);
        time::sleep(Duration::from_millis(ms)).await;
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(Store::open(&other).await.unwrap().unwrap().is_ready(), "nothing is left half-made");
    assert_eq!(applied(&other).await, STEPS);
}

#[tokio::test]
async fn sqlite_migrates_once_for_many() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = |dir: &tempfile::TempDir| Config { dir: dir.path().to_owned(), ..Config::default() };
    many_migrators(config(&one), config(&two)).await;
}

#[tokio::test]
async fn postgres_migrates_once_for_many() {
    let cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (cluster.database("one", dir.path()).await, cluster.database("two", dir.path()).await);
    many_migrators(one, two).await;
}

#[tokio::test]
async fn the_next_versions_tables_will_do_and_those_after_it_will_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().to_owned(), ..Config::default() };
    Store::open(&config).await.unwrap();
    let mut connection = SqliteConnection::connect(config.file().to_str().unwrap()).await.unwrap();
    let newest = *STEPS.last().unwrap();
    let mut pretend = async |version: i64| {
        let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ($1, 'x', 1, x'00', 0)";
        sqlx::query(sql).bind(version).execute(&mut connection).await.unwrap();
    };
    pretend(newest + 1).await;
    assert!(Store::open(&config).await.unwrap().unwrap().is_ready(), "a version back must go on working");
    pretend(newest + 2).await;
    let refused = Store::open(&config).await.unwrap_err();
    assert!(matches!(refused, Error::TooNew { found, known } if found == newest + 2 && known == newest), "{refused}");
}

#[tokio::test]
async fn what_an_operator_must_mend_is_said_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = Config { dir: file.path().join("below a file"), ..Config::default() };
    assert!(matches!(Store::open(&config).await.unwrap_err(), Error::File { .. }));
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().to_owned(), url: "mysql://nonsense".into(), ..Config::default() };
    assert!(matches!(Store::open(&config).await.unwrap_err(), Error::Address(_)));
    let config = Config { engine: floe::store::Engine::Postgres, ..Config::default() };
    assert!(matches!(Store::open(&config).await.unwrap_err(), Error::NoAddress));
    let config = Config { engine: floe::store::Engine::None, ..Config::default() };
    assert!(Store::open(&config).await.unwrap().is_none());
}
