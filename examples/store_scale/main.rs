//! A million turns in a store, for `make bench-store`: loads them as the recorder would have written them, asks every
//! question of the API many times, and prints how long the answers took, how the database found them, and how much
//! disk they need. Ends with an error if the 95th percentile of a list, search or read is over the limit.
//!
//! `store_scale [--turns 1000000] [--engine both|sqlite|postgres] [--url postgres://…] [--dir DIR] [--plans FILE]`

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use floe::store::{Config, Store};

mod load;
mod plans;
mod questions;
mod sizes;
mod support;
mod talk;

/// Measures a store that holds many turns.
#[derive(Debug, Parser)]
struct Args {
    /// How many turns, each with its reply and receipt.
    #[arg(long, default_value_t = 1_000_000)]
    turns: u64,
    /// `sqlite`, `postgres` or `both`.
    #[arg(long, default_value = "both")]
    engine: String,
    /// An empty Postgres database, or one that was loaded by an earlier run; without it one is started and thrown away.
    #[arg(long, default_value = "")]
    url: String,
    /// Where SQLite's file is kept for later runs; without it in a temporary directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How often each question is asked.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// Limit of the 95th percentile, in milliseconds.
    #[arg(long, default_value_t = 50.0)]
    limit_ms: f64,
    /// Where the plans are written; without it to standard output.
    #[arg(long)]
    plans: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut slow = Vec::new();
    if args.engine != "postgres" {
        let config = Config { dir: dir.join("sqlite"), ..Config::default() };
        slow.extend(one(&args, config).await.context("SQLite")?);
    }
    if args.engine != "sqlite" {
        fs::create_dir_all(dir.join("postgres"))?;
        let mut cluster = None;
        let url = if args.url.is_empty() {
            let mut made = support::postgres::Cluster::make();
            made.set(SETTINGS);
            made.run().await;
            let config = made.database("million", &dir.join("postgres")).await;
            cluster = Some(made);
            config.url
        } else {
            args.url.clone().into()
        };
        let config = Config { url, dir: dir.join("postgres"), ..Config::default() };
        slow.extend(one(&args, config).await.context("Postgres")?);
        drop(cluster);
    }
    ensure!(slow.is_empty(), "over {} ms: {}", args.limit_ms, slow.join("; "));
    Ok(())
}

/// Everything on one database; the questions that took too long.
async fn one(args: &Args, config: Config) -> anyhow::Result<Vec<String>> {
    let began = now();
    let store = Store::open(&config).await?.context("a store")?;
    println!("\n## {}\n\ntables there after {} ms", store.engine(), began.elapsed().as_millis());
    let mut raw = load::Raw::connect(&config).await?;
    let loaded = "SELECT COUNT(*) FROM sessions WHERE node = 'store_scale'";
    let end_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_millis())?;
    let talks = talk::Talks::new(args.turns, end_ms);
    if raw.number(loaded).await? == 0 {
        load::same(&mut raw, &store, end_ms).await?;
        load::load(&mut raw, talk::Talks::new(args.turns, end_ms)).await?;
    }
    sizes::print(&mut raw).await?;
    let mut bench = questions::Bench::new(args.rounds, args.limit_ms);
    let some = questions::ask(&mut bench, &store, &mut raw, &talks).await?;
    store.close().await;
    questions::over_http(&mut bench, &config, some, &talks).await?;
    bench.print();
    let month = (questions::first_at(end_ms - 30 * 86_400_000), questions::first_at(end_ms));
    let frequent = talks.words(0..1).first().context("words")?;
    let plans = plans::plans(&mut raw, some, frequent, month).await?;
    match &args.plans {
        Some(file) => {
            let file = file.with_extension(format!("{}.txt", store.engine()));
            fs::write(&file, plans)?;
            println!("\nplans: {}", file.display());
        }
        None => println!("\n{plans}"),
    }
    Ok(bench.slow())
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn now() -> Instant {
    Instant::now()
}

/// What docs/operations.md advises (deploy/postgres.conf), as far as it bears on answers.
const SETTINGS: &str = "shared_buffers = 1GB\neffective_cache_size = 3GB\nwork_mem = 8MB\nrandom_page_cost = 1.1\n\
    effective_io_concurrency = 100\nmax_wal_size = 2GB\nautovacuum_vacuum_insert_scale_factor = 0.05\n\
    autovacuum_analyze_scale_factor = 0.02\n";
