//! Why a store cannot be opened, read or written.

use std::path::PathBuf;

/// What went wrong. None of these texts holds what anybody said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("store.url is no address of a Postgres server: {0}")]
    Address(sqlx::Error),
    /// `postgres` was asked for and no address given.
    #[error("store.engine is postgres, and store.url (DATABASE_URL) is empty")]
    NoAddress,
    /// A file or directory cannot be used.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another server works in this directory.
    #[error("another Floe uses {0}; give this one a directory of its own (store.dir)")]
    InUse(PathBuf),
    /// Somebody else has been changing the tables for too long.
    #[error("another process has been migrating {0} for too long")]
    MigrationBusy(PathBuf),
    /// The tables were made by a much newer Floe.
    #[error("the database has schema {found}, and this Floe knows {known}: use the newer Floe")]
    TooNew {
        /// The newest migration found.
        found: i64,
        /// The newest one known.
        known: i64,
    },
    /// A migration failed; nothing of it was kept.
    #[error("migrating: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database refused, or is away.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The database did not answer in time.
    #[error("the database did not answer within {0} ms")]
    Timeout(u128),
    /// Some of what was said is on this server's disk only.
    #[error("records wait in this server's spool")]
    CatchingUp,
    /// The list of erasures cannot be read or written.
    #[error("privacy.erasures: {0}")]
    Erasures(std::io::Error),
    /// Somebody else reads or writes all the time.
    #[error("the database is busy")]
    Busy,
    /// The tables are not there yet: the database has been away since this server started.
    #[error("the database has not been reached yet")]
    NotReady,
}

impl Error {
    /// Whether trying the same again later can never help: the database understood, and refuses this very content.
    pub fn is_about_content(&self) -> bool {
        let Self::Database(sqlx::Error::Database(error)) = self else { return false };
        let code = error.code().unwrap_or_default();
        // Postgres names classes of errors: 22 data exception, 23 integrity constraint, 54 limit exceeded. SQLite: 19 constraint, 20 mismatch,
        // 18 too big, the low byte of its extended codes.
        let is_sqlite = code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 18..=20)) && code.len() < 5;
        (code.len() == 5 && ["22", "23", "54"].iter().any(|class| code.starts_with(class))) || is_sqlite
    }

    /// Whether the server must not start with it: waiting does not mend it.
    pub fn is_for_the_operator(&self) -> bool {
        match self {
            Self::Migration(sqlx::migrate::MigrateError::Execute(error)) => refuses_us(error),
            Self::Database(error) => refuses_us(error),
            Self::Timeout(_) | Self::NotReady | Self::CatchingUp | Self::Busy => false,
            _ => true,
        }
    }
}

/// Wrong password, no such database, no right to it: somebody has to change something. (A server that is starting up or
/// shutting down refuses too, with class 57: that passes.)
fn refuses_us(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            code.starts_with("28") || code.starts_with("3D") || code.starts_with("42")
        }
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => true,
        _ => false,
    }
}
