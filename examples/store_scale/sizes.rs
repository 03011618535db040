//! How many rows there are, and how much disk they need.

use sqlx::Row as _;

use crate::load::Raw;

/// Prints both.
pub(crate) async fn print(raw: &mut Raw) -> anyhow::Result<()> {
    let items = raw.number("SELECT COUNT(*) FROM items").await?;
    let turns = raw.number("SELECT COUNT(*) FROM items WHERE role = 'user'").await?;
    let conversations = raw.number("SELECT COUNT(*) FROM conversations").await?;
    println!("{turns} turns, {items} items, {conversations} conversations\n\n| | MiB |\n| --- | --- |");
    let sizes: Vec<(String, i64)> = match raw {
        Raw::Pg(connection) => {
            let sql = "SELECT relname::text, pg_relation_size(oid) + \
                 CASE WHEN relkind = 'r' AND reltoastrelid <> 0 THEN pg_relation_size(reltoastrelid) ELSE 0 END \
                 FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC";
            let rows = sqlx::query(sql).fetch_all(connection).await?;
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?
        }
        Raw::Lite(connection) => {
            let sql = "SELECT name, SUM(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC";
            let rows = sqlx::query(sql).fetch_all(connection).await?;
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?
        }
    };
    for (name, bytes) in sizes.iter().filter(|(_, bytes)| *bytes >= 1 << 20) {
        println!("| {name} | {} |", bytes >> 20);
    }
    println!("| all | {} |", sizes.iter().map(|(_, bytes)| bytes).sum::<i64>() >> 20);
    Ok(())
}
