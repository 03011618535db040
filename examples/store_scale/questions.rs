//! Every question, many times, with changing parameters.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use floe::{
    config,
    ids::{ConversationId, SessionId},
    store::{
        Config, Filter, Recorder, Scope, Store,
        record::{Change, ItemRow, Opening},
        words::Query,
    },
};
use uuid::Uuid;

use crate::{
    load::{self, Raw},
    now,
    support::{
        duplex::{engines, rhythm},
        server::Server,
    },
    talk::{APART, BIG, Dice, NOBODYS, PILOT, RARE, SEASON, SMALL, THEIRS, Talks},
};

/// How long the answers took.
pub(crate) struct Bench {
    rounds: usize,
    limit_ms: f64,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    is_limited: bool,
    /// What came back, on average.
    rows: f64,
    /// Sorted.
    took_ms: Vec<f64>,
}

impl Line {
    fn share(&self, percent: usize) -> f64 {
        let at = (self.took_ms.len() * percent).div_ceil(100).max(1) - 1;
        self.took_ms.get(at).copied().unwrap_or_default()
    }
}

impl Bench {
    pub(crate) fn new(rounds: usize, limit_ms: f64) -> Self {
        Self { rounds: rounds.max(1), limit_ms, lines: Vec::new() }
    }

    /// Asks a question; it says how many rows came back.
    async fn ask(
        &mut self,
        name: &str,
        question: impl AsyncFnMut(&mut Dice) -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        self.take(name, true, question).await
    }

    async fn take(
        &mut self,
        name: &str,
        is_limited: bool,
        mut question: impl AsyncFnMut(&mut Dice) -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        eprintln!("  {name}");
        let (mut dice, mut took_ms, mut rows) = (Dice(3), Vec::new(), 0);
        for _ in 0..self.rounds {
            let began = now();
            rows += question(&mut dice).await?;
            took_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        took_ms.sort_by(f64::total_cmp);
        let rows = f64::from(u32::try_from(rows)?) / f64::from(u32::try_from(self.rounds)?);
        self.lines.push(Line { name: name.into(), is_limited, rows, took_ms });
        Ok(())
    }

    /// As a table.
    pub(crate) fn print(&self) {
        println!("\n| milliseconds | rows | p50 | p95 | p99 | max |\n| --- | --- | --- | --- | --- | --- |");
        for line in &self.lines {
            let (p50, p95, p99, max) = (line.share(50), line.share(95), line.share(99), line.share(100));
            println!("| {} | {:.0} | {p50:.1} | {p95:.1} | {p99:.1} | {max:.1} |", line.name, line.rows);
        }
    }

    /// What took too long.
    pub(crate) fn slow(&self) -> Vec<String> {
        let slow = self.lines.iter().filter(|line| line.is_limited && line.share(95) > self.limit_ms);
        slow.map(|line| format!("{} ({:.0} ms)", line.name, line.share(95))).collect()
    }
}

/// Asks everything of a store; gives back some conversation.
pub(crate) async fn ask(
    bench: &mut Bench,
    store: &Store,
    raw: &mut Raw,
    talks: &Talks,
) -> anyhow::Result<ConversationId> {
    let ids = load::ids(raw, BIG).await?;
    let some = |dice: &mut Dice| ConversationId::of_uuid(ids.get(dice.below(ids.len())).copied().unwrap_or_default());
    let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_millis())?;
    lists(bench, store, &some, now_ms).await?;

    bench
        .ask("read: a conversation, its items and receipts", async |dice| {
            let id = some(dice);
            store.conversation(Scope::tenant(BIG), id).await?.context("it is there")?;
            Ok(store.timeline(id).await?.len() + store.receipts(id).await?.len())
        })
        .await?;
    let longest = raw.longest().await?;
    bench
        .ask("read: the longest conversation", async |_| {
            store.conversation(Scope::tenant(BIG), longest).await?.context("it is there")?;
            Ok(store.timeline(longest).await?.len() + store.receipts(longest).await?.len())
        })
        .await?;
    searches(bench, store, raw, talks).await?;
    // What is limited are lists, searches and reads; a month is what a page of figures asks for.
    for (name, is_limited, days) in [("usage: a month", true, 30), ("(usage: 400 days)", false, 400)] {
        let since_ms = now_ms - days * 86_400_000;
        bench
            .take(name, is_limited, async |_| Ok(store.usage(Scope::tenant(BIG), since_ms, now_ms).await?.len()))
            .await?;
    }

    let (recorder, running) = Recorder::start(store.clone()).await?;
    let opening =
        Opening { tenant: BIG.into(), agent: "default".into(), language: "en".into(), user: None, consent: None };
    let mut scribe = recorder.begin(SessionId::new(), opening);
    let words = talks.words(0..2_000);
    let mut item = 0;
    bench
        .take("(write: a turn until it is durable)", false, async |dice| {
            item += 1;
            let text: Vec<&str> =
                (0..15).filter_map(|_| words.get(dice.below(words.len())).map(String::as_str)).collect();
            let row = ItemRow {
                item,
                role: "user".into(),
                kind: "speech".into(),
                text: text.join(" "),
                ..ItemRow::default()
            };
            let revision = scribe.put(Change::Item(Box::new(row)))?;
            let mut progress = scribe.progress();
            let durable = progress.wait_for(|progress| progress.durable_to >= revision);
            tokio::time::timeout(Duration::from_secs(10), durable).await.context("it is written")??;
            Ok(1)
        })
        .await?;
    drop(scribe);
    running.stop(Duration::from_secs(10)).await;
    bench
        .take("(delete: a conversation)", false, async |dice| {
            Ok(usize::from(store.delete(Scope::tenant(BIG), some(dice)).await?.is_some()))
        })
        .await?;
    Ok(longest)
}

async fn lists(
    bench: &mut Bench,
    store: &Store,
    some: &impl Fn(&mut Dice) -> ConversationId,
    now_ms: i64,
) -> anyhow::Result<()> {
    let page = Filter { limit: 20, ..Filter::default() };
    let by = |agent: &str, state: &str| Filter {
        agent: (!agent.is_empty()).then(|| agent.to_owned()),
        state: (!state.is_empty()).then(|| state.to_owned()),
        ..page.clone()
    };
    for (name, filter) in [
        ("list: first page", page.clone()),
        ("list: first page of 100", Filter { limit: 100, ..page.clone() }),
        ("list: state ended", by("", "ended")),
        ("list: state live", by("", "live")),
        ("list: state lost", by("", "lost")),
        ("list: a busy agent", by("default", "")),
        ("list: an agent with little to do", by(PILOT, "")),
        ("list: an unknown agent", by("nobody", "")),
        ("list: agent and state", by("booking", "lost")),
        ("list: agent and state, hardly any", by(PILOT, "lost")),
    ] {
        bench
            .ask(name, async |_| Ok(store.conversations(Scope::tenant(BIG), &filter).await?.conversations.len()))
            .await?;
    }
    bench
        .ask("list: small tenant", async |_| {
            Ok(store.conversations(Scope::tenant(SMALL), &page).await?.conversations.len())
        })
        .await?;
    bench
        .ask("list: a page deep inside", async |dice| {
            let filter = Filter { after: Some(some(dice)), ..page.clone() };
            Ok(store.conversations(Scope::tenant(BIG), &filter).await?.conversations.len())
        })
        .await?;
    bench
        .ask("list: agent, state and a month, deep inside", async |dice| {
            let until_ms = now_ms - i64::try_from(dice.below(300))? * 86_400_000;
            let since_ms = Some(until_ms - 30 * 86_400_000);
            let filter = Filter { since_ms, until_ms: Some(until_ms), ..by("support", "lost") };
            Ok(store.conversations(Scope::tenant(BIG), &filter).await?.conversations.len())
        })
        .await
}

async fn searches(bench: &mut Bench, store: &Store, raw: &mut Raw, talks: &Talks) -> anyhow::Result<()> {
    let newest = usize::try_from(raw.number("SELECT MAX(number) FROM items").await?)?;
    let pick = |words: &[String], dice: &mut Dice| words.get(dice.below(words.len())).cloned().unwrap_or_default();
    let (frequent, middling, rare) = (talks.words(0..30), talks.words(100..2_000), talks.words(15_000..20_000));
    let of = |tenant: &'static str, dice: &mut Dice, words: String, deep: bool| {
        let below = deep.then(|| i64::try_from(dice.below(newest)).unwrap_or(i64::MAX));
        async move {
            let query = Query::parse(&words).context("words")?;
            Ok(store.search(Scope::tenant(tenant), &query, below, 20).await?.hits.len())
        }
    };
    for (name, tenant, deep, words) in [
        ("search: a frequent word", BIG, false, &[frequent][..]),
        ("search: a frequent word, deep inside", BIG, true, &[frequent]),
        ("search: a middling word", BIG, false, &[middling]),
        ("search: a middling word, deep inside", BIG, true, &[middling]),
        ("search: a rare word", BIG, false, &[rare]),
        ("search: two frequent words", BIG, false, &[frequent, frequent]),
        ("search: a middling and a frequent word", BIG, false, &[middling, frequent]),
        ("search: two middling words", BIG, false, &[middling, middling]),
        ("search: a rare and a frequent word", BIG, false, &[rare, frequent]),
        ("search: small tenant, a frequent word", SMALL, false, &[frequent]),
        ("search: small tenant, a middling word", SMALL, false, &[middling]),
        ("search: small tenant, a rare word", SMALL, false, &[rare]),
    ] {
        bench
            .ask(name, async |dice| {
                let words: Vec<String> = words.iter().map(|words| pick(words, dice)).collect();
                of(tenant, dice, words.join(" "), deep).await
            })
            .await?;
    }
    bench
        .ask("search: two letters a word begins with", async |dice| {
            let word: String = pick(talks.words(0..20_000), dice).chars().take(2).collect();
            of(BIG, dice, word, false).await
        })
        .await?;
    bench
        .ask("search: four letters a word begins with", async |dice| {
            let word: String = pick(talks.words(0..20_000), dice).chars().take(4).collect();
            of(BIG, dice, word, false).await
        })
        .await?;
    let apart = APART.join(" ");
    for (name, tenant, words) in [
        ("search: a word that a dozen items have", BIG, RARE),
        ("search: nobody's word", BIG, NOBODYS),
        ("search: two words of every 40th item that never meet", BIG, apart.as_str()),
        ("search: a word that was frequent long ago", BIG, SEASON),
        ("search: small tenant, a frequent word of the other", SMALL, THEIRS),
    ] {
        bench.ask(name, async |dice| of(tenant, dice, words.to_owned(), false).await).await?;
    }
    Ok(())
}

/// The same through the API, socket and JSON included.
pub(crate) async fn over_http(
    bench: &mut Bench,
    store: &Config,
    long: ConversationId,
    talks: &Talks,
) -> anyhow::Result<()> {
    let config = config::Config { store: store.clone(), ..config::Config::default() };
    let server = Server::start(config, engines(&[], rhythm(1, 1, 1))).await;
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let get = async |path: String| {
        let response = client.get(server.http(&path)).send().await?;
        ensure!(response.status().is_success(), "{path}: {}", response.status());
        Ok::<_, anyhow::Error>(serde_json::from_slice::<serde_json::Value>(&response.bytes().await?)?)
    };
    let rows = |answer: &serde_json::Value| answer["data"].as_array().map_or(0, Vec::len);
    bench.ask("HTTP: list", async |_| Ok(rows(&get("/api/v1/conversations".into()).await?))).await?;
    let (frequent, middling) = (talks.words(0..30), talks.words(100..2_000));
    for (name, words) in [("HTTP: search, a frequent word", frequent), ("HTTP: search, a middling word", middling)] {
        bench
            .ask(name, async |dice| {
                let word = words.get(dice.below(words.len())).context("a word")?;
                Ok(rows(&get(format!("/api/v1/search?q={word}")).await?))
            })
            .await?;
    }
    bench
        .ask("HTTP: read, the longest conversation", async |_| {
            let answer = get(format!("/api/v1/conversations/{long}")).await?;
            Ok(answer["items"].as_array().map_or(0, Vec::len))
        })
        .await?;
    bench
        .ask("HTTP: usage, a month", async |_| {
            Ok(get("/api/v1/usage".into()).await?["days"].as_array().map_or(0, Vec::len))
        })
        .await?;
    server.ask_to_stop();
    server.stopped().await;
    Ok(())
}

/// The lowest id that something begun at this time can have.
pub(crate) fn first_at(ms: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(ms).unwrap_or_default() << 80)
}
