//! Every index says which question it serves, and every question finds its index: on small tables, with the statements that
//! the store asks.

use std::collections::BTreeSet;

use floe::store::{
    Config, Engine, Store,
    statements::{self, Filters},
    words::Query,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};
use uuid::Uuid;

use crate::support::postgres::Cluster;

/// Every step, for Postgres and for SQLite.
const MIGRATIONS: [[&str; 2]; 4] = [
    [
        include_str!("../../../migrations/postgres/0001_conversations.sql"),
        include_str!("../../../migrations/sqlite/0001_conversations.sql"),
    ],
    [
        include_str!("../../../migrations/postgres/0003_identities.sql"),
        include_str!("../../../migrations/sqlite/0003_identities.sql"),
    ],
    [
        include_str!("../../../migrations/postgres/0004_jobs.sql"),
        include_str!("../../../migrations/sqlite/0004_jobs.sql"),
    ],
    [
        include_str!("../../../migrations/postgres/0005_webhooks.sql"),
        include_str!("../../../migrations/sqlite/0005_webhooks.sql"),
    ],
];

/// Lines that make an index, each with the comment right above it.
fn indexes(migration: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment = String::new();
    for line in migration.lines().map(str::trim) {
        if let Some(said) = line.strip_prefix("--") {
            comment.push_str(said);
            continue;
        }
        if ["CREATE INDEX", "CREATE UNIQUE INDEX", "CREATE VIRTUAL TABLE", "PRIMARY KEY", "UNIQUE"]
            .iter()
            .any(|word| line.contains(word))
        {
            found.push((line.to_owned(), comment.clone()));
        }
        comment.clear();
    }
    found
}

#[test]
fn every_index_says_whom_it_serves() {
    let names = |migration: &str| -> BTreeSet<String> {
        let named = indexes(migration).into_iter().filter(|(line, _)| line.starts_with("CREATE"));
        named
            .map(|(line, _)| {
                line.split_whitespace().find(|word| word.contains("_by_") || word.ends_with("_live")).unwrap().into()
            })
            .collect()
    };
    for [postgres, sqlite] in MIGRATIONS {
        assert_eq!(names(postgres), names(sqlite), "both have the same");
        for migration in [postgres, sqlite] {
            let indexes = indexes(migration);
            assert!(!indexes.is_empty(), "{migration}");
            for (line, comment) in indexes {
                // SQLite's keys are explained where Postgres' are.
                let is_plain_key = migration == sqlite && line.contains("NOT NULL PRIMARY KEY");
                assert!(
                    is_plain_key || comment.contains("Serve") || comment.contains("rowid"),
                    "{line} does not say whom it serves"
                );
            }
        }
    }
}

/// A question of the store, its parameters, and the index that must answer it.
struct Asked {
    statement: String,
    bound: Vec<Bound>,
    index: &'static str,
}

#[derive(Clone)]
enum Bound {
    Text(&'static str),
    Words(String),
    Id(Uuid),
    Number(i64),
}

fn asked(is_postgres: bool, some: Uuid) -> Vec<Asked> {
    let page = |filters: &[&'static str]| {
        let page = [Bound::Text("default"), Bound::Id(Uuid::max()), Bound::Id(Uuid::nil()), Bound::Number(21)];
        page.into_iter().chain(filters.iter().map(|filter| Bound::Text(filter))).collect::<Vec<_>>()
    };
    let engine = if is_postgres { Engine::Postgres } else { Engine::Sqlite };
    let list = |user, agent, state| statements::list(engine, Filters { user, agent, state }).to_owned();
    let of = |postgres: &'static str, sqlite: &'static str| if is_postgres { postgres } else { sqlite };
    let one = || vec![Bound::Text("default"), Bound::Id(some)];
    let query = Query::parse("seldom").unwrap();
    let search = |words: Vec<String>| {
        let page = [Bound::Text("default"), Bound::Number(i64::MAX), Bound::Number(21)];
        page.into_iter().chain(words.into_iter().map(Bound::Words)).collect::<Vec<_>>()
    };
    let (newest, pieces, all, words) = if is_postgres {
        let newest = statements::SEARCH_NEWEST_POSTGRES.to_owned();
        (newest, vec![query.tsquery()], statements::SEARCH_ALL_POSTGRES, query.tsquery())
    } else {
        (statements::search_newest_sqlite(1), query.pieces(), statements::SEARCH_ALL_SQLITE, query.fts5())
    };
    let user_search = if is_postgres {
        let bound = search(vec![query.tsquery()]).into_iter().chain([Bound::Text("ann")]).collect();
        (statements::SEARCH_USER_POSTGRES.to_owned(), bound)
    } else {
        let mut bound = search(Vec::new());
        bound.push(Bound::Text("ann"));
        bound.extend(query.pieces().into_iter().map(Bound::Words));
        (statements::search_user_sqlite(1), bound)
    };
    let of_user = |below| vec![Bound::Text("default"), Bound::Id(Uuid::nil()), Bound::Id(below), Bound::Text("ann")];
    // A user has few conversations: whichever of their indexes finds them first will do.
    let users = of("conversations_by_user|conversations_by_agent_and_state", "conversations_by_user");
    let one_of_user = of("conversations_pkey|conversations_by_tenant|conversations_by_user", "PRIMARY KEY");
    let plan = |statement: String, bound, index| Asked { statement, bound, index };
    vec![
        plan(list(false, false, false), page(&[]), "conversations_by_tenant"),
        plan(list(false, true, false), page(&["pilot"]), "conversations_by_agent"),
        plan(list(false, false, true), page(&["lost"]), "conversations_by_state"),
        plan(list(false, true, true), page(&["pilot", "lost"]), "conversations_by_agent_and_state"),
        plan(list(true, false, false), page(&["ann"]), "conversations_by_user"),
        plan(list(true, true, true), page(&["ann", "pilot", "lost"]), users),
        plan(user_search.0, user_search.1, "conversations_by_user"),
        plan(statements::USAGE_OF_USER.into(), of_user(Uuid::max()), users),
        plan(
            statements::ONE_OF_USER.into(),
            vec![Bound::Text("default"), Bound::Id(some), Bound::Text("ann")],
            one_of_user,
        ),
        plan(statements::TIMELINE.into(), vec![Bound::Id(some)], of("items_pkey", "sqlite_autoindex_items_1")),
        plan(statements::RECEIPTS.into(), vec![Bound::Id(some)], of("receipts_pkey", "PRIMARY KEY")),
        plan(statements::ONE.into(), one(), of("conversations_pkey|conversations_by_tenant", "PRIMARY KEY")),
        plan(newest, search(pieces), "items_by_tenant"),
        plan(all.into(), search(vec![words]), of("items_by_words", "VIRTUAL TABLE INDEX")),
        plan(
            statements::OF_USER.into(),
            vec![Bound::Text("default"), Bound::Text("anna"), Bound::Id(Uuid::nil()), Bound::Number(50)],
            "conversations_by_user",
        ),
        plan(statements::MARK_LOST.into(), vec![Bound::Text("nobody"), Bound::Number(0)], "conversations_live"),
    ]
}

/// How the database would answer.
macro_rules! plan {
    ($connection:expr, $explain:literal, $column:literal, $asked:expr) => {{
        let asked: &Asked = $asked;
        let sql = format!(concat!($explain, " {}"), asked.statement);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for bound in asked.bound.clone() {
            query = match bound {
                Bound::Text(text) => query.bind(text),
                Bound::Words(text) => query.bind(text),
                Bound::Id(id) => query.bind(id),
                Bound::Number(number) => query.bind(number),
            };
        }
        let rows = query.fetch_all(&mut $connection).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.get($column)).collect();
        let plan = lines.join("\n");
        // A key, or any of several that serve as well.
        let names = |line: &str| {
            let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let is_one = words.any(|word| asked.index.split('|').any(|index| index == word));
            is_one || (asked.index.contains(' ') && line.contains(asked.index))
        };
        let is_used = lines.iter().any(|line| names(line));
        assert!(is_used, "{} does not serve\n{}\n{plan}", asked.index, asked.statement);
        plan
    }};
}

#[tokio::test]
async fn sqlite_finds_the_index_of_every_question() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().to_owned(), ..Config::default() };
    Store::open(&config).await.unwrap();
    let mut connection = SqliteConnection::connect(config.file().to_str().unwrap()).await.unwrap();
    for asked in asked(false, Uuid::now_v7()) {
        let plan = plan!(connection, "EXPLAIN QUERY PLAN", 3, &asked);
        assert!(!plan.lines().any(|line| line.starts_with("SCAN items") && !line.contains("VIRTUAL")), "{plan}");
    }
}

#[tokio::test]
async fn postgres_finds_the_index_of_every_question() {
    let cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = cluster.database("plans", dir.path()).await;
    Store::open(&config).await.unwrap();
    let mut connection = PgConnection::connect(&cluster.url("plans")).await.unwrap();
    connection.execute(ROWS).await.unwrap();
    connection.execute("VACUUM ANALYZE").await.unwrap();
    let some: Uuid =
        sqlx::query_scalar("SELECT id FROM conversations LIMIT 1").fetch_one(&mut connection).await.unwrap();
    for asked in asked(true, some) {
        plan!(connection, "EXPLAIN", 0, &asked);
    }
}

/// Enough rows that reading a whole table is never the quickest way: 20,000 conversations, 100,000 items.
const ROWS: &str = "
    SET plan_cache_mode = force_custom_plan;
    SET synchronous_commit = off;
    INSERT INTO sessions SELECT gen_random_uuid(), 1, 'node', 1 FROM generate_series(1, 20000);
    INSERT INTO conversations (id, session_id, tenant_id, user_id, agent, language, state, started_at_ms)
        SELECT id, id, CASE WHEN n % 50 = 0 THEN 'small' ELSE 'default' END, CASE WHEN n % 500 = 7 THEN 'ann' ELSE 'user' || n % 97 END,
            CASE WHEN n % 1000 = 1 THEN 'pilot' ELSE 'default' END, 'en',
            CASE WHEN n % 5000 = 3 THEN 'live' WHEN n % 40 = 1 THEN 'lost' ELSE 'ended' END, n
        FROM (SELECT id, row_number() OVER () AS n FROM sessions) s;
    INSERT INTO items (conversation_id, tenant_id, item, epoch, revision, position, role, kind, text, recorded_at_ms, words)
        SELECT id, tenant_id, item, 1, item, item, 'user', 'speech', '', 1,
            CASE WHEN random() < 0.001 THEN 'seldom' ELSE 'often' END
        FROM conversations, generate_series(1, 5) item;
    INSERT INTO receipts (conversation_id, response, epoch, revision, status, input_tokens, output_tokens, recorded_at_ms)
        SELECT id, 1, 1, 1, 'completed', 1, 1, 1 FROM conversations;
";
