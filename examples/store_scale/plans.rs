//! How a database would answer each question.

use std::fmt::Write as _;

use floe::{
    ids::ConversationId,
    store::{
        Engine,
        statements::{self, Filters},
        words,
    },
};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::{
    load::{Raw, either},
    talk::{APART, BIG, NOBODYS, PILOT, RARE, SEASON, SMALL, THEIRS},
};

/// A parameter.
enum Bound {
    Text(String),
    Id(Uuid),
    Number(i64),
}

/// The plans of all questions, as text.
pub(crate) async fn plans(
    raw: &mut Raw,
    some: ConversationId,
    frequent: &str,
    month: (Uuid, Uuid),
) -> anyhow::Result<String> {
    let tenant = || Bound::Text(BIG.into());
    let text = |text: &str| Bound::Text(text.into());
    let page = || vec![tenant(), Bound::Id(Uuid::max()), Bound::Id(Uuid::nil()), Bound::Number(21)];
    let with = |mut bound: Vec<Bound>, more: &[&str]| {
        bound.extend(more.iter().map(|more| text(more)));
        bound
    };
    let engine = if matches!(raw, Raw::Pg(_)) { Engine::Postgres } else { Engine::Sqlite };
    let mut all = String::new();
    let by = |agent, state| Filters { user: false, agent, state };
    for (name, by, filters) in [
        ("list", by(false, false), &[][..]),
        ("list, agent", by(true, false), &[PILOT][..]),
        ("list, state", by(false, true), &["lost"][..]),
        ("list, agent and state", by(true, true), &["booking", "lost"][..]),
    ] {
        let statement = statements::list(engine, by);
        all += &plan(raw, name, statement, with(page(), filters), true).await?;
    }
    let id = || Bound::Id(some.uuid());
    all += &plan(raw, "one conversation", statements::ONE, vec![tenant(), id()], true).await?;
    all += &plan(raw, "timeline", statements::TIMELINE, vec![id()], true).await?;
    all += &plan(raw, "receipts", statements::RECEIPTS, vec![id()], true).await?;
    let is_postgres = matches!(raw, Raw::Pg(_));
    for (name, whose, words) in [
        ("a frequent word", BIG, frequent.to_owned()),
        ("a rare word", BIG, RARE.to_owned()),
        ("no hit", BIG, NOBODYS.to_owned()),
        ("two words that never meet", BIG, APART.join(" ")),
        ("a word of long ago", BIG, SEASON.to_owned()),
        ("small tenant, another's word", SMALL, THEIRS.to_owned()),
    ] {
        let Some(query) = words::Query::parse(&words) else { continue };
        let start = || vec![text(whose), Bound::Number(i64::MAX), Bound::Number(21)];
        if is_postgres {
            let bound = with(start(), &[&query.tsquery()]);
            let name = |stage: &str| format!("search, {name}: {stage}");
            all += &plan(raw, &name("the newest"), statements::SEARCH_NEWEST_POSTGRES, bound, true).await?;
            let bound = with(start(), &[&query.tsquery()]);
            all += &plan(raw, &name("all"), statements::SEARCH_ALL_POSTGRES, bound, true).await?;
            if let Some(whole) = query.whole_tsquery() {
                let bound = vec![text(whose), Bound::Number(i64::MAX), Bound::Text(whole.clone())];
                all += &plan(raw, &name("is it rare?"), statements::IS_RARE_POSTGRES, bound, true).await?;
                let bound = with(start(), &[&query.tsquery(), &whole]);
                all += &plan(raw, &name("few"), statements::SEARCH_FEW_POSTGRES, bound, true).await?;
            }
        } else {
            let pieces = query.pieces();
            let bound = with(start(), &pieces.iter().map(String::as_str).collect::<Vec<_>>());
            let name = |stage: &str| format!("search, {name}: {stage}");
            all +=
                &plan(raw, &name("the newest"), &statements::search_newest_sqlite(pieces.len()), bound, true).await?;
            let bound = with(start(), &[&query.fts5()]);
            all += &plan(raw, &name("all"), statements::SEARCH_ALL_SQLITE, bound, true).await?;
        }
    }
    let bound = vec![tenant(), Bound::Id(month.0), Bound::Id(month.1)];
    all += &plan(raw, "usage, a month", statements::USAGE, bound, true).await?;
    // Only told, not done.
    all += &plan(raw, "delete", statements::DELETE, vec![tenant(), id()], false).await?;
    Ok(all)
}

async fn plan(raw: &mut Raw, name: &str, statement: &str, bound: Vec<Bound>, runs: bool) -> anyhow::Result<String> {
    let explain = match (&raw, runs) {
        (Raw::Pg(_), true) => "EXPLAIN (ANALYZE, BUFFERS)",
        (Raw::Pg(_), false) => "EXPLAIN",
        (Raw::Lite(_), _) => "EXPLAIN QUERY PLAN",
    };
    let column = if matches!(raw, Raw::Pg(_)) { 0 } else { 3 };
    let sql = format!("{explain} {statement}");
    let lines: Vec<String> = either!(raw, connection => {
        let mut asked = sqlx::query(AssertSqlSafe(sql));
        for bound in bound {
            asked = match bound {
                Bound::Text(text) => asked.bind(text),
                Bound::Id(id) => asked.bind(id),
                Bound::Number(number) => asked.bind(number),
            };
        }
        let rows = asked.fetch_all(connection).await?;
        rows.iter().map(|row| row.try_get(column)).collect::<Result<_, _>>()?
    });
    let mut text = format!("\n-- {name}\n");
    for line in lines {
        writeln!(text, "{line}")?;
    }
    Ok(text)
}
