//! The tables, step by step. Embedded; two processes may run them at once.

use std::{fs::File, path::Path, time::Duration};

use sqlx::{
    PgConnection, SqlSafeStr as _, SqliteConnection,
    migrate::{Migrate, Migration, MigrationType, Migrator},
};
use tokio::time;

use super::{Error, db::in_file};

/// Number, name, text. Numbers only grow, texts never change once released.
type Step = (i64, &'static str, &'static str);

const POSTGRES: &[Step] = &[
    (1, "conversations", include_str!("../../migrations/postgres/0001_conversations.sql")),
    (2, "recordings", include_str!("../../migrations/postgres/0002_recordings.sql")),
    (3, "identities", include_str!("../../migrations/postgres/0003_identities.sql")),
    (4, "jobs", include_str!("../../migrations/postgres/0004_jobs.sql")),
    (5, "webhooks", include_str!("../../migrations/postgres/0005_webhooks.sql")),
];

const SQLITE: &[Step] = &[
    (1, "conversations", include_str!("../../migrations/sqlite/0001_conversations.sql")),
    (2, "recordings", include_str!("../../migrations/sqlite/0002_recordings.sql")),
    (3, "identities", include_str!("../../migrations/sqlite/0003_identities.sql")),
    (4, "jobs", include_str!("../../migrations/sqlite/0004_jobs.sql")),
    (5, "webhooks", include_str!("../../migrations/sqlite/0005_webhooks.sql")),
];

fn migrator(steps: &[Step]) -> Migrator {
    let steps = steps.iter().map(|&(version, name, text)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    // The next version's tables serve this one too (they only ever add); what is newer still is refused in `run`.
    migrator.set_ignore_missing(true);
    migrator
}

/// Each step in a transaction of its own, all of them under sqlx's advisory lock.
pub(super) async fn postgres(connection: &mut PgConnection) -> Result<(), Error> {
    run(&migrator(POSTGRES), connection).await
}

/// The same under a file lock beside the database: SQLite has no lock that outlives a transaction, and sqlx takes none.
pub(super) async fn sqlite(connection: &mut SqliteConnection, database: &Path) -> Result<(), Error> {
    let mut path = database.as_os_str().to_owned();
    path.push(".migration");
    let path = Path::new(&path);
    let file = File::create(path).map_err(|source| in_file(path, source))?;
    let waiting = async {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(std::fs::TryLockError::WouldBlock) => time::sleep(Duration::from_millis(20)).await,
                Err(std::fs::TryLockError::Error(source)) => return Err(in_file(path, source)),
            }
        }
    };
    time::timeout(LOCK_WAIT, waiting).await.map_err(|_| Error::MigrationBusy(path.to_owned()))??;
    // The lock goes with the file.
    run(&migrator(SQLITE), connection).await
}

async fn run<C: Migrate>(migrator: &Migrator, connection: &mut C) -> Result<(), Error> {
    migrator.run_direct(None, connection, false).await?;
    let known = migrator.iter().map(|step| step.version).max().unwrap_or_default();
    let applied = connection.list_applied_migrations(&migrator.table_name).await.map_err(Error::Migration)?;
    let found = applied.iter().map(|step| step.version).max().unwrap_or_default();
    if found > known + 1 {
        return Err(Error::TooNew { found, known });
    }
    if found > known {
        tracing::warn!(found, known, "the database belongs to a newer Floe already; working with what is known");
    }
    Ok(())
}

/// Longest wait for another process's migration.
const LOCK_WAIT: Duration = Duration::from_secs(300);
