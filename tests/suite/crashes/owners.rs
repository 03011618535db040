//! Two servers on one Postgres: a conversation has one owner at a time, and who has lost it writes no more.

use std::collections::HashMap;

use tokio::{task::JoinSet, time};

use super::{
    chance::Chance,
    checker::{Row, Tables, check},
    client::Talker,
    node::{Node, PATIENCE},
};
use crate::support::postgres::Cluster;

/// Two servers, and what both write into.
struct Pair {
    one: Node,
    other: Node,
    tables: Tables,
    chance: Chance,
    _cluster: Cluster,
}

impl Pair {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let unused = tempfile::tempdir().unwrap();
        cluster.database("floe", unused.path()).await;
        let url = cluster.url("floe");
        let (mut one, mut other) = (Node::new(Some(url.clone()), None), Node::new(Some(url.clone()), None));
        one.start();
        other.start();
        one.answers().await;
        other.answers().await;
        Self { one, other, tables: Tables::Postgres(url), chance: Chance::new(), _cluster: cluster }
    }

    fn talker(&mut self, name: &str) -> Talker {
        Talker::new(name.into(), vec![self.one.port, self.other.port], self.chance.split())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_frozen_finds_that_its_conversations_are_anothers() {
    let mut pair = Pair::start().await;
    let mut old = Vec::new();
    for number in 1..=5 {
        let mut talker = pair.talker(&format!("old {number}"));
        talker.connect_to(pair.one.port, None).await.expect("it begins");
        for _ in 0..5 {
            talker.exchange().await.expect("an answer");
        }
        old.push(talker);
    }
    let written = async { while pair.tables.rows().await.len() < 5 * 2 * 5 {} };
    time::timeout(PATIENCE, written).await.expect("turns and replies are written");
    pair.one.signal("STOP");
    let mut new = Vec::new();
    for (number, old) in old.iter_mut().enumerate() {
        // These words wait in the frozen server's socket.
        old.say().await.expect("the kernel takes it");
        let mut talker = pair.talker(&format!("new {number}"));
        talker.reach(pair.other.port, &old.conversation()).await;
        for _ in 0..5 {
            talker.exchange().await.expect("an answer");
        }
        new.push(talker);
    }
    pair.one.signal("CONT");
    for old in &mut old {
        assert_eq!(old.closed().await, Some(4409));
        // Either the words were heard, and it was told that they are not kept, or they were not even heard.
        assert_eq!(old.log.acknowledged.len(), 5);
    }
    for new in &mut new {
        new.exchange().await.expect("an answer");
        new.leave().await;
    }
    pair.one.finish().await;
    pair.other.finish().await;

    let rows = pair.tables.rows().await;
    let late: Vec<String> = old.iter().map(|old| old.log.sent[5].text.clone()).collect();
    let untouched = rows.iter().all(|row| !late.contains(&row.text) && !row.is_late());
    assert!(untouched, "the frozen server's writes touch nothing");
    assert_eq!(rows.iter().filter(|row| row.role == "user").count(), 5 * (5 + 6));
    let logs: Vec<_> = old.into_iter().chain(new).map(|talker| talker.log).collect();
    assert_eq!(check(&logs, &rows), []);
    assert!(pair.tables.epochs().await.values().all(|epoch| *epoch == 2));
}

/// Claims of each server, together a hundred.
const CLAIMS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_racing_claims_each_gives_one_owner() {
    let mut pair = Pair::start().await;
    let mut first = pair.talker("first");
    first.connect_to(pair.one.port, None).await.expect("it begins");
    first.exchange().await.expect("an answer");
    let mut racers = JoinSet::new();
    for (server, port) in [pair.one.port, pair.other.port].into_iter().enumerate() {
        // Five at a time, each one claim after the other.
        for racer in 0..5 {
            let mut chance = pair.chance.split();
            let mut talkers: Vec<Talker> = (0..CLAIMS / 5)
                .map(|claim| pair.talker(&format!("server {server} racer {racer} claim {claim}")))
                .collect();
            let conversation = first.conversation();
            racers.spawn(async move {
                for talker in &mut talkers {
                    talker.reach(port, &conversation).await;
                    // Until somebody else claims it.
                    for _ in 0..3 {
                        if talker.exchange().await.is_none() {
                            break;
                        }
                    }
                    // So that others, too, have it for long enough to say something.
                    time::sleep(chance.ms(50, 500)).await;
                }
                talkers
            });
        }
    }
    let mut talkers: Vec<Talker> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(talkers.len(), 2 * CLAIMS);
    for talker in &mut talkers {
        talker.leave().await;
    }
    let conversation = first.id();
    first.leave().await;
    pair.one.finish().await;
    pair.other.finish().await;

    let rows = pair.tables.rows().await;
    talkers.push(first);
    let logs: Vec<_> = talkers.into_iter().map(|talker| talker.log).collect();
    assert_eq!(check(&logs, &rows), []);
    assert!(pair.tables.epochs().await[&conversation] > 2 * CLAIMS as i64, "no two claims get the same epoch");
    let mut owners: HashMap<i64, &str> = HashMap::new();
    for row in rows.iter().filter(|row| row.role == "user") {
        let owner = claimant(row);
        assert_eq!(*owners.entry(row.epoch).or_insert(owner), owner, "an epoch has one owner");
    }
    let acknowledged: usize = logs.iter().map(|log| log.acknowledged.len()).sum();
    eprintln!("{acknowledged} turns of {} owners in {} rows", owners.len(), rows.len());
    assert!(owners.len() > 2, "several of them had it for a while: {owners:?}");
}

/// Who said it: the words up to "says".
fn claimant(row: &Row) -> &str {
    row.text.split(" says ").next().unwrap()
}
