//! Transactions of everybody but the recorder: jobs, deletions, erasures, webhooks, the audit trail.
//!
//! Their connections are in no pool of sqlx's. One is taken, and put back only after its transaction has ended well; a caller
//! that is dropped, or whose time is up, drops the connection with whatever was open in it, and the database rolls that back.

use std::sync::{Mutex, PoisonError};

use sqlx::Connection as _;

use super::{
    Error, Store,
    db::{Connection, within},
};

/// Connections that nobody uses at the moment, at most [`IDLE_MAX`]; further ones are closed.
#[derive(Default)]
pub(super) struct Desk {
    idle: Mutex<Vec<Connection>>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

/// Idle connections kept.
const IDLE_MAX: usize = 4;

impl Store {
    /// A connection for one transaction.
    pub(super) async fn seat(&self) -> Result<Connection, Error> {
        let idle = self.desk.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => within(self.config.write_timeout(), self.connect()).await?,
        }
    }

    /// Gives it back: nothing is open in it.
    pub(super) fn leave(&self, connection: Connection) {
        let mut idle = self.desk.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    /// Closes what nobody uses.
    pub(super) async fn clear_desk(&self) {
        let idle = std::mem::take(&mut *self.desk.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            let closing = async { super::db::either!(Connection, connection, connection => connection.close().await) };
            let _closed = within(self.config.write_timeout(), closing).await;
        }
    }
}

/// All of `$body` or nothing, within the time of one write: `$tx` is the transaction, the value is what `$body` gives, and an
/// error of it (`?`) undoes everything.
macro_rules! transact {
    ($store:expr, $tx:ident => $body:expr) => {{
        let store: &$crate::store::Store = $store;
        let mut connection = store.seat().await?;
        let done = $crate::store::db::within(store.config.write_timeout(), async {
            match &mut connection {
                $crate::store::db::Connection::Pg(connection) => {
                    let mut $tx = sqlx::Connection::begin(&mut **connection).await?;
                    let value = $body;
                    $tx.commit().await?;
                    Ok::<_, $crate::store::Error>(value)
                }
                $crate::store::db::Connection::Lite(connection) => {
                    // Takes the write lock at once: a transaction that begins by reading could be refused in the middle.
                    let mut $tx = sqlx::Connection::begin_with(&mut **connection, "BEGIN IMMEDIATE").await?;
                    let value = $body;
                    $tx.commit().await?;
                    Ok::<_, $crate::store::Error>(value)
                }
            }
        })
        .await;
        match done {
            Ok(Ok(value)) => {
                store.leave(connection);
                Ok::<_, $crate::store::Error>(value)
            }
            // Dropped here, and closed with that.
            Ok(Err(error)) | Err(error) => Err(error),
        }
    }};
}
pub(super) use transact;
