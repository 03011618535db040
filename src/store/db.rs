//! The two databases behind one name: how each is opened, and the pool for reading.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::ExposeSecret as _;
use sqlx::{
    Connection as _, PgConnection, PgPool, SqliteConnection, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{sync::watch, time};

use super::{Config, Engine, Error, desk::Desk, migrations};

/// Where conversations are kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) db: Db,
    pub(super) config: Arc<Config>,
    migrated: Arc<AtomicBool>,
    pub(super) desk: Arc<Desk>,
    /// Told whenever this process has put a job in or finished one.
    woken: Arc<watch::Sender<u64>>,
}

/// Pools for reading. No transaction is ever begun on one: with sqlx 0.9.0 a `begin` that is dropped half-way gives the
/// connection back with the transaction open, and the next borrower works inside it.
#[derive(Debug, Clone)]
pub(super) enum Db {
    Pg(PgPool),
    Lite(SqlitePool),
}

/// One connection of its own, in no pool: whoever drops it closes it, and nobody inherits what was left open in it.
pub(super) enum Connection {
    Pg(Box<PgConnection>),
    Lite(Box<SqliteConnection>),
}

/// The same for either database.
macro_rules! either {
    ($kind:ident, $db:expr, $inner:ident => $body:expr) => {
        match $db {
            $kind::Pg($inner) => $body,
            $kind::Lite($inner) => $body,
        }
    };
}
pub(super) use either;

impl Store {
    /// The store of this configuration; `None` if it keeps nothing. Prepares the tables. A Postgres that is away is no
    /// error: [`Store::is_ready`] is false until it comes, and [`Store::prepare`] tries again.
    pub async fn open(config: &Config) -> Result<Option<Self>, Error> {
        let db = match config.chosen() {
            Engine::None => return Ok(None),
            Engine::Sqlite | Engine::Auto => {
                std::fs::create_dir_all(&config.dir).map_err(|source| in_file(&config.dir, source))?;
                let options = sqlite(config);
                let pool = SqlitePoolOptions::new()
                    .max_connections(config.connections_max.max(1))
                    .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
                    .connect_lazy_with(options);
                Db::Lite(pool)
            }
            Engine::Postgres => Db::Pg(
                PgPoolOptions::new()
                    .max_connections(config.connections_max.max(1))
                    .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
                    .connect_lazy_with(postgres(config, config.statement_timeout_ms)?),
            ),
        };
        let store = Self {
            db,
            config: Arc::new(config.clone()),
            migrated: Arc::default(),
            desk: Arc::default(),
            woken: Arc::default(),
        };
        match time::timeout(FIRST_CONTACT, store.prepare()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is_for_the_operator() || matches!(store.db, Db::Lite(_)) => return Err(error),
            Ok(Err(error)) => tracing::warn!(%error, "the database is away; turns go to the spool until it is there"),
            Err(_) => tracing::warn!("the database does not answer; turns go to the spool until it does"),
        }
        Ok(Some(store))
    }

    /// Makes the tables what this version needs; safe while others do the same. Quick if they are.
    pub async fn prepare(&self) -> Result<(), Error> {
        match &self.db {
            Db::Pg(_) => {
                // No statement timeout: building an index takes as long as it takes.
                let options = postgres(&self.config, 0)?;
                let connecting = PgConnection::connect_with(&options);
                let timeout = Duration::from_millis(self.config.acquire_timeout_ms.max(1_000));
                let mut connection = within(timeout, connecting).await??;
                migrations::postgres(&mut connection).await?;
                let _closed = time::timeout(timeout, connection.close()).await;
            }
            Db::Lite(_) => {
                let mut connection = SqliteConnection::connect_with(&sqlite(&self.config)).await?;
                migrations::sqlite(&mut connection, &self.config.file()).await?;
                connection.close().await?;
            }
        }
        self.migrated.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether the tables are known to be there.
    pub fn is_ready(&self) -> bool {
        self.migrated.load(Ordering::Acquire)
    }

    /// Tells those who wait for jobs that there may be one.
    pub(super) fn wake(&self) {
        self.woken.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Changes whenever this process has put a job in or finished one.
    pub fn jobs_changed(&self) -> watch::Receiver<u64> {
        self.woken.subscribe()
    }

    /// `sqlite` or `postgres`.
    pub const fn engine(&self) -> &'static str {
        match self.db {
            Db::Pg(_) => "postgres",
            Db::Lite(_) => "sqlite",
        }
    }

    /// Asks the database whether it is there.
    pub async fn ping(&self) -> Result<(), Error> {
        let timeout = Duration::from_millis(self.config.statement_timeout_ms);
        let asked = async { either!(Db, &self.db, pool => sqlx::query("SELECT 1").execute(pool).await.map(drop)) };
        Ok(within(timeout, asked).await??)
    }

    /// Closes the readers' connections; waits for those in use, at most two seconds.
    pub async fn close(&self) {
        let closing = async {
            self.clear_desk().await;
            either!(Db, &self.db, pool => pool.close().await);
        };
        let _timeout = time::timeout(Duration::from_secs(2), closing).await;
    }

    /// A connection of one's own, for writing.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        if !self.is_ready() {
            return Err(Error::NotReady);
        }
        Ok(match &self.db {
            Db::Pg(_) => {
                let options = postgres(&self.config, self.config.write_timeout_ms)?;
                Connection::Pg(Box::new(PgConnection::connect_with(&options).await?))
            }
            Db::Lite(_) => Connection::Lite(Box::new(SqliteConnection::connect_with(&sqlite(&self.config)).await?)),
        })
    }
}

/// What a Postgres server says of itself, for a person. Changes nothing there.
pub async fn look(config: &Config) -> Result<String, Error> {
    let options = postgres(config, config.statement_timeout_ms)?;
    let timeout = Duration::from_millis(config.acquire_timeout_ms.max(1_000));
    let asking = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        let (version,): (String,) = sqlx::query_as("SHOW server_version").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, Error>(format!("Postgres {version}"))
    };
    within(timeout, asking).await?
}

/// What comes of it within this time.
pub(super) async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Result<T, Error> {
    time::timeout(timeout, work).await.map_err(|_| Error::Timeout(timeout.as_millis()))
}

pub(super) fn in_file(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: PathBuf::from(path), source }
}

fn sqlite(config: &Config) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(config.file())
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A turn is told to be durable when the commit returns: it must have reached the disk by then.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        // What is deleted is overwritten, not merely unlinked.
        .pragma("secure_delete", "ON")
}

fn postgres(config: &Config, statement_timeout_ms: u64) -> Result<PgConnectOptions, Error> {
    let url = config.url.expose_secret();
    if url.is_empty() {
        return Err(Error::NoAddress);
    }
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(Error::Address(sqlx::Error::Configuration("it begins with postgres://".into())));
    }
    let options = PgConnectOptions::from_str(url).map_err(Error::Address)?;
    let lock_timeout_ms = if statement_timeout_ms == 0 { 0 } else { LOCK_TIMEOUT_MS };
    // Whoever is frozen in the middle of a write holds up another server that takes its conversations over.
    let forgotten_ms = if statement_timeout_ms == 0 { 10_000 } else { statement_timeout_ms.max(1_000) };
    Ok(options.application_name("floe").options([
        ("statement_timeout", statement_timeout_ms.to_string()),
        ("lock_timeout", lock_timeout_ms.to_string()),
        ("idle_in_transaction_session_timeout", forgotten_ms.to_string()),
        // The statements have optional filters: a plan for all of their values would be good for none.
        ("plan_cache_mode", "force_custom_plan".to_owned()),
    ]))
}

/// Longest first attempt to reach the database when the server starts.
const FIRST_CONTACT: Duration = Duration::from_secs(600);

/// Longest wait for a row somebody else holds.
const LOCK_TIMEOUT_MS: u64 = 1_000;
