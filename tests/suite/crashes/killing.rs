//! Everything is killed, again and again, while clients talk.

use floe::store;
use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use super::{
    chance::Chance,
    checker::{Tables, check},
    client::{Log, Talker},
    node::Node,
};
use crate::support::{postgres::Cluster, redis::RedisServer};

/// Who is there, and how often each is killed.
struct Scene {
    servers: usize,
    server_kills: usize,
    /// 0: each server keeps conversations in a file.
    postgres_kills: usize,
    /// 0: nothing is shared by Redis.
    redis_kills: usize,
    talkers: usize,
}

const ONE_FILE: Scene = Scene { servers: 1, server_kills: 75, postgres_kills: 0, redis_kills: 0, talkers: 5 };
const ONE_POSTGRES: Scene = Scene { servers: 1, server_kills: 30, postgres_kills: 25, redis_kills: 0, talkers: 5 };
const ALL_SHARED: Scene = Scene { servers: 2, server_kills: 28, postgres_kills: 25, redis_kills: 25, talkers: 6 };

impl Scene {
    const fn kills(&self) -> usize {
        self.servers * self.server_kills + self.postgres_kills + self.redis_kills
    }

    /// Plays it; everything must be in the tables at the end. Gives what the clients saw.
    async fn play(self) -> Vec<Log> {
        let mut chance = Chance::new();
        let mut cluster = match self.postgres_kills {
            0 => None,
            _ => Some(Cluster::start().await),
        };
        if let Some(cluster) = &cluster {
            let unused = tempfile::tempdir().unwrap();
            let _config: store::Config = cluster.database("floe", unused.path()).await;
        }
        let url = cluster.as_ref().map(|cluster| cluster.url("floe"));
        let mut redis = None;
        if self.redis_kills > 0 {
            redis = Some(RedisServer::start().await);
        }
        let shared = redis.as_ref().map(RedisServer::url);
        let mut nodes: Vec<Node> = (0..self.servers).map(|_| Node::new(url.clone(), shared.clone())).collect();
        for node in &mut nodes {
            node.start();
            node.answers().await;
        }
        let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
        let stop = CancellationToken::new();
        let mut talkers = JoinSet::new();
        for number in 1..=self.talkers {
            let talker = Talker::new(format!("client {number}"), ports.clone(), chance.split());
            talkers.spawn(talker.talk(stop.clone()));
        }

        let mut killers = JoinSet::new();
        for node in nodes {
            killers.spawn(kill_server(node, self.server_kills, chance.split()));
        }
        let mut killing = JoinSet::new();
        if let Some(cluster) = cluster.take() {
            killing.spawn(kill_postgres(cluster, self.postgres_kills, chance.split()));
        }
        let mut forgetting = JoinSet::new();
        if let Some(redis) = redis.take() {
            forgetting.spawn(kill_redis(redis, self.redis_kills, chance.split()));
        }
        let (mut nodes, mut clusters) = (killers.join_all().await, killing.join_all().await);
        let memories = forgetting.join_all().await;

        stop.cancel();
        let logs = talkers.join_all().await;
        for node in &mut nodes {
            node.finish().await;
        }
        let tables = match &url {
            Some(url) => Tables::Postgres(url.clone()),
            None => Tables::Sqlite(nodes[0].store().join("floe.db")),
        };
        let rows = tables.rows().await;
        self.tell(&logs, rows.iter().filter(|row| row.is_late()).count());
        assert_eq!(check(&logs, &rows), [], "what clients were told, and what was kept");
        let epochs = tables.epochs().await;
        assert!(rows.iter().all(|row| row.epoch <= epochs[&row.conversation_id]), "nobody writes without a claim");
        clusters.clear();
        drop(memories);
        logs
    }

    fn tell(&self, logs: &[Log], late: usize) {
        let sum = |count: fn(&Log) -> usize| logs.iter().map(count).sum::<usize>();
        eprintln!(
            "{} kills; {} turns sent, {} acknowledged, {} told not durable, {late} rows added late; {} replies; sessions resumed {}, \
             conversations gone on {}, taken over {}; {} answers in no time",
            self.kills(),
            sum(|log| log.sent.len()),
            sum(|log| log.acknowledged.len()),
            sum(|log| log.not_durable),
            sum(|log| log.replies),
            sum(|log| log.resumed),
            sum(|log| log.went_on),
            sum(|log| log.taken_over),
            sum(|log| log.stalled),
        );
        // That nothing was lost says something only if much could have been.
        assert!(sum(|log| log.acknowledged.len()) > 2 * self.kills(), "turns were acknowledged");
        assert!(sum(|log| log.went_on) > self.kills() / 2, "clients came back");
    }
}

async fn kill_server(mut node: Node, kills: usize, mut chance: Chance) -> Node {
    for _ in 0..kills {
        time::sleep(chance.ms(100, 700)).await;
        node.kill();
        time::sleep(chance.ms(0, 250)).await;
        node.start();
        // Now and then it is killed while it starts.
        if chance.percent(85) {
            node.answers().await;
        }
    }
    node.answers().await;
    node
}

async fn kill_postgres(mut cluster: Cluster, kills: usize, mut chance: Chance) -> Cluster {
    for _ in 0..kills {
        time::sleep(chance.ms(300, 1_200)).await;
        cluster.kill();
        time::sleep(chance.ms(0, 500)).await;
        cluster.run().await;
    }
    cluster
}

async fn kill_redis(mut redis: RedisServer, kills: usize, mut chance: Chance) -> RedisServer {
    for _ in 0..kills {
        time::sleep(chance.ms(300, 1_200)).await;
        redis.kill();
        time::sleep(chance.ms(0, 500)).await;
        // Empty: it keeps nothing on disk.
        redis.run().await;
    }
    redis
}

/// With one server, whoever goes on finds everything that was acknowledged.
fn assert_remembered(logs: &[Log]) {
    let forgotten: Vec<&String> = logs.iter().flat_map(|log| &log.forgotten).collect();
    assert!(forgotten.is_empty(), "acknowledged, and not part of the conversation that goes on: {forgotten:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_file_is_killed() {
    assert_remembered(&ONE_FILE.play().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_and_its_postgres_are_killed() {
    assert_remembered(&ONE_POSTGRES.play().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_their_postgres_and_their_redis_are_killed() {
    ALL_SHARED.play().await;
}

const _: () = assert!(ONE_FILE.kills() + ONE_POSTGRES.kills() + ALL_SHARED.kills() >= 200);
