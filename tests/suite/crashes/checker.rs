//! The history checker: compares what clients were told with what stands in the tables.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use super::client::Log;

/// Where the tables are.
pub(super) enum Tables {
    Postgres(String),
    Sqlite(PathBuf),
}

/// A row of `items`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// In order of writing.
    pub(super) number: i64,
    pub(super) conversation_id: Uuid,
    pub(super) item: i64,
    pub(super) epoch: i64,
    pub(super) position: f64,
    pub(super) role: String,
    pub(super) text: String,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// Acknowledged, and not there.
    Lost(String),
    /// There twice.
    Doubled(String),
    /// Nobody said it.
    Foreign(String),
    /// In a conversation in which it was not said.
    Misplaced(String),
    /// It stands before something that the same client said earlier.
    OutOfOrder(String),
    /// A row of an earlier owner stands after one of a later owner.
    Behind { conversation: Uuid, item: i64 },
    /// A row of an earlier owner was written after one of a later owner.
    Interleaved { conversation: Uuid, item: i64 },
}

/// It as both databases give it.
type Raw = (i64, Uuid, i64, i64, f64, String, String);

impl From<Raw> for Row {
    fn from((number, conversation_id, item, epoch, position, role, text): Raw) -> Self {
        Self { number, conversation_id, item, epoch, position, role, text }
    }
}

const ITEMS: &str = "SELECT number, conversation_id, item, epoch, position, role, text FROM items \
     WHERE kind <> 'deleted' ORDER BY conversation_id, position, item";

const EPOCHS: &str = "SELECT c.id, s.epoch FROM conversations c JOIN sessions s ON s.id = c.session_id";

impl Tables {
    /// Every row, each conversation in order.
    pub(super) async fn rows(&self) -> Vec<Row> {
        let rows: Vec<Raw> = match self {
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query_as(ITEMS).fetch_all(&mut connection).await.unwrap()
            }
            Self::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                sqlx::query_as(ITEMS).fetch_all(&mut connection).await.unwrap()
            }
        };
        rows.into_iter().map(Row::from).collect()
    }

    /// The epoch of each conversation's owner.
    pub(super) async fn epochs(&self) -> HashMap<Uuid, i64> {
        let epochs: Vec<(Uuid, i64)> = match self {
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query_as(EPOCHS).fetch_all(&mut connection).await.unwrap()
            }
            Self::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                sqlx::query_as(EPOCHS).fetch_all(&mut connection).await.unwrap()
            }
        };
        epochs.into_iter().collect()
    }
}

impl Row {
    /// Whether it was acknowledged on a server's disk, and added when the conversation had another owner.
    pub(super) fn is_late(&self) -> bool {
        self.item >> 32 > 0
    }

    /// Its number as the client was told.
    fn turn(&self) -> i64 {
        self.item & 0xffff_ffff
    }
}

/// What is wrong. `rows` in the order in which they are read.
pub(super) fn check(logs: &[Log], rows: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Who said what in which order: texts are unique.
    let mut said: HashMap<&str, (usize, usize, Uuid)> = HashMap::new();
    for (client, log) in logs.iter().enumerate() {
        for (place, sent) in log.sent.iter().enumerate() {
            let before = said.insert(&sent.text, (client, place, sent.conversation));
            assert_eq!(before, None, "clients never repeat themselves");
        }
    }
    let mut stored: HashMap<&str, &Row> = HashMap::new();
    let mut last_place: HashMap<(Uuid, usize), usize> = HashMap::new();
    for row in rows.iter().filter(|row| row.role == "user") {
        let Some(&(client, place, conversation)) = said.get(row.text.as_str()) else {
            findings.push(Finding::Foreign(row.text.clone()));
            continue;
        };
        if conversation != row.conversation_id {
            findings.push(Finding::Misplaced(row.text.clone()));
        }
        if stored.insert(&row.text, row).is_some() {
            findings.push(Finding::Doubled(row.text.clone()));
            continue;
        }
        if let Some(before) = last_place.insert((row.conversation_id, client), place)
            && before > place
        {
            findings.push(Finding::OutOfOrder(row.text.clone()));
        }
    }
    for turn in logs.iter().flat_map(|log| &log.acknowledged) {
        let is_there = |row: &&&Row| row.conversation_id == turn.conversation && row.turn() == turn.turn;
        if stored.get(turn.text.as_str()).filter(is_there).is_none() {
            findings.push(Finding::Lost(turn.text.clone()));
        }
    }
    findings.extend(check_owners(rows));
    findings
}

/// Whether everything of one owner stands, and was written, before everything of the next.
fn check_owners(rows: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut conversations: BTreeMap<Uuid, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| conversations.entry(row.conversation_id).or_default().push(row));
    for (conversation, mut rows) in conversations {
        let behind = rows.windows(2).filter(|pair| pair[0].epoch > pair[1].epoch).map(|pair| pair[1].item);
        findings.extend(behind.map(|item| Finding::Behind { conversation, item }));
        rows.retain(|row| !row.is_late());
        rows.sort_by_key(|row| row.number);
        let mixed = rows.windows(2).filter(|pair| pair[0].epoch > pair[1].epoch).map(|pair| pair[1].item);
        findings.extend(mixed.map(|item| Finding::Interleaved { conversation, item }));
    }
    findings
}

/// The checker finds what it must, in tables that are changed behind Floe's back.
mod tests {
    use floe::{
        ids::{ConversationId, SessionId},
        store::{
            Claim, Config, Engine, Recorder, Store,
            record::{Change, Closing, ItemRow, Opening},
        },
    };

    use super::*;
    use crate::crashes::client::{Acknowledged, Sent};

    /// A conversation of four turns that changed hands after the second, and what its client was told.
    struct History {
        tables: Tables,
        log: Log,
        conversation: Uuid,
        _dir: tempfile::TempDir,
    }

    async fn history() -> History {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { engine: Engine::Sqlite, dir: dir.path().to_owned(), ..Config::default() };
        let store = Store::open(&config).await.unwrap().unwrap();
        let (recorder, running) = Recorder::start(store.clone()).await.unwrap();
        let (session, opening) = (SessionId::new(), Opening { tenant: "default".into(), ..Opening::default() });
        let mut first = recorder.begin(session, opening.clone());
        let id = first.conversation();
        let mut log = Log::default();
        put(&mut first, &mut log, id, 1).await;
        put(&mut first, &mut log, id, 2).await;
        let epoch = store.claim(session, recorder.node()).await.unwrap().unwrap();
        let mut second = recorder.go_on(Claim { session, epoch, conversation: id, opening });
        put(&mut second, &mut log, id, 3).await;
        put(&mut second, &mut log, id, 4).await;
        second.put(Change::Closed(Closing::default())).unwrap();
        drop((first, second));
        assert!(running.stop(crate::crashes::node::PATIENCE).await);
        store.close().await;
        History { tables: Tables::Sqlite(config.file()), log, conversation: id.uuid(), _dir: dir }
    }

    async fn put(scribe: &mut floe::store::Scribe, log: &mut Log, id: ConversationId, item: i64) {
        let (text, conversation) = (format!("turn {item}"), id.uuid());
        log.sent.push(Sent { text: text.clone(), conversation });
        log.acknowledged.push(Acknowledged { conversation, turn: item, text: text.clone() });
        let (role, kind) = ("user".to_owned(), "text".to_owned());
        let row = ItemRow { item, position: item as f64, role, kind, text, ..ItemRow::default() };
        let revision = scribe.put(Change::Item(Box::new(row))).unwrap();
        let mut progress = scribe.progress();
        progress.wait_for(|progress| progress.durable_to >= revision).await.unwrap();
    }

    impl History {
        /// What is found after this change; everything else is as it should be.
        async fn after(&self, change: &'static str) -> Vec<Finding> {
            let Tables::Sqlite(path) = &self.tables else { unreachable!() };
            let options = SqliteConnectOptions::new().filename(path);
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            assert_eq!(self.findings().await, [], "before the change");
            let mut transaction = connection.begin().await.unwrap();
            assert!(sqlx::query(change).execute(&mut *transaction).await.unwrap().rows_affected() > 0);
            let rows: Vec<Raw> = sqlx::query_as(ITEMS).fetch_all(&mut *transaction).await.unwrap();
            transaction.rollback().await.unwrap();
            let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
            check(std::slice::from_ref(&self.log), &rows)
        }

        async fn findings(&self) -> Vec<Finding> {
            check(std::slice::from_ref(&self.log), &self.tables.rows().await)
        }
    }

    /// A copy of a row with other values for some of its columns.
    macro_rules! copy {
        ($item:literal, $epoch:literal, $position:literal, $text:literal) => {
            concat!(
                "INSERT INTO items (conversation_id, tenant_id, item, epoch, revision, position, role, kind, text, recorded_at_ms) \
                 SELECT conversation_id, tenant_id, ", $item, ", ", $epoch, ", 9, ", $position, ", role, kind, ", $text, ", \
                 recorded_at_ms FROM items WHERE item = 2"
            )
        };
    }

    #[tokio::test]
    async fn the_checker_finds_what_is_wrong() {
        let history = history().await;
        let turn = |number: i64| format!("turn {number}");
        let conversation = history.conversation;
        assert_eq!(history.tables.epochs().await, HashMap::from([(conversation, 2)]));

        let removed = history.after("DELETE FROM items WHERE item = 3").await;
        assert_eq!(removed, [Finding::Lost(turn(3))]);
        let other_words = history.after("UPDATE items SET text = 'turn 33' WHERE item = 3").await;
        assert_eq!(other_words, [Finding::Foreign("turn 33".into()), Finding::Lost(turn(3))]);
        let doubled = history.after(copy!("5", "2", "5", "text")).await;
        assert_eq!(doubled[0], Finding::Doubled(turn(2)));
        let foreign = history.after(copy!("5", "2", "5", "'nobody says this'")).await;
        assert_eq!(foreign, [Finding::Foreign("nobody says this".into())]);
        let elsewhere = history.after("UPDATE items SET item = 7 WHERE item = 4").await;
        assert_eq!(elsewhere, [Finding::Lost(turn(4))], "the client was told another number");
        let swapped = history.after("UPDATE items SET position = 3 - position WHERE item IN (1, 2)").await;
        assert_eq!(swapped, [Finding::OutOfOrder(turn(1))]);
        let stale = history.after("UPDATE items SET epoch = 1 WHERE item = 4").await;
        assert_eq!(stale, [Finding::Behind { conversation, item: 4 }, Finding::Interleaved { conversation, item: 4 }]);
    }

    #[tokio::test]
    async fn the_checker_finds_a_row_of_a_stale_owner_wherever_it_stands() {
        let mut history = history().await;
        let conversation = history.conversation;
        history.log.sent.insert(2, Sent { text: "in between".into(), conversation });
        let in_place = history.after(copy!("5", "1", "2.5", "'in between'")).await;
        assert_eq!(in_place, [Finding::Interleaved { conversation, item: 5 }], "it was written by a stale owner");
        let at_the_end = history.after(copy!("5", "1", "4.5", "'in between'")).await;
        assert!(at_the_end.contains(&Finding::Behind { conversation, item: 5 }), "{at_the_end:?}");
        // What was acknowledged, and added later for that, has a number of its own kind.
        let late = history.after(copy!("4294967301", "1", "2.5", "'in between'")).await;
        assert_eq!(late, []);
    }

    #[tokio::test]
    async fn the_checker_finds_words_in_a_wrong_conversation() {
        let mut history = history().await;
        history.log.sent[1].conversation = Uuid::from_u128(1);
        assert_eq!(history.findings().await, [Finding::Misplaced("turn 2".into())]);
    }
}
