//! A thousand jobs, and workers that are killed at every step: in this process, so that each step is met for certain, and as real
//! servers that get SIGKILL at any moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use floe::{
    jobs::webhook::new_secret,
    store::webhooks::{EVENTS, Webhook},
};
use runner::Step;
use tokio::{net::TcpListener, task::JoinSet};

use floe::store::Scope;

use super::*;
use crate::support::{node::Node, postgres::Cluster};

const JOBS: usize = 1_000;

/// Every third attempt or so ends its worker at some step; each conversation gets its title once all the same, from whichever attempt.
async fn killed_at_every_step(config: Config) {
    let kept = Kept::open(&config).await;
    let mut scribes = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..JOBS / 100 {
        scribes.extend((0..100).map(|_| kept.talking("default", None, &["hello"])));
        for scribe in scribes.drain(..) {
            ids.push(ended(scribe).await);
        }
    }
    let (attempts, kills) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeMap::<String, usize>::new())));
    let count = Arc::clone(&attempts);
    let jobs = doing(floe::store::jobs::kind::SUMMARISE, move |job| {
        let attempt = count.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::task::yield_now().await;
            let conversation = job.subject.parse().unwrap();
            let title = format!("attempt {attempt}");
            Ok(Effect::Summary { conversation, title, summary: "…".into(), by: "test".into() })
        }
    });
    let (turn, killed) = (AtomicUsize::new(0), Arc::clone(&kills));
    let watcher: runner::Watcher = Arc::new(move |step: Step, _| {
        // Each step is met about as often: the number of the question is no multiple of the number of steps.
        let lives = turn.fetch_add(1, Ordering::Relaxed) % 7 != 0;
        if !lives {
            *killed.lock().unwrap().entry(format!("{step:?}")).or_default() += 1;
        }
        lives
    });
    let settings = jobs::Config { workers: 16, lease_ms: 400, attempts_max: 100, ..quick() };
    let mut servers: Vec<runner::Running> = (0..2)
        .map(|_| runner::start_watched(&kept.store, "node", &settings, jobs.clone(), Some(Arc::clone(&watcher))))
        .collect();
    // Whole servers are dropped, too: their workers end wherever they are, in the middle of a statement.
    for round in 0..10 {
        time::sleep(Duration::from_millis(150)).await;
        servers[round % 2] =
            runner::start_watched(&kept.store, "node", &settings, jobs.clone(), Some(Arc::clone(&watcher)));
    }
    all_done(&kept.store, "default").await;
    drop(servers);
    let kills = kills.lock().unwrap().clone();
    assert!(
        ["Claimed", "Worked", "Written"].iter().all(|step| kills.get(*step).is_some_and(|kills| *kills > 50)),
        "{kills:?}"
    );
    let mut titles = BTreeSet::new();
    for id in &ids {
        titles.insert(
            kept.store.conversation(Scope::tenant("default"), *id).await.unwrap().unwrap().title.expect("it has one"),
        );
    }
    assert_eq!(titles.len(), JOBS, "no attempt wrote twice");
    assert_eq!(kept.store.jobs("default", &any()).await.unwrap().len(), JOBS);
    eprintln!("{JOBS} jobs, {} attempts, workers killed at {kills:?}", attempts.load(Ordering::Relaxed));
    kept.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_workers_killed_at_every_step() {
    let dir = tempfile::tempdir().unwrap();
    killed_at_every_step(Config { dir: dir.path().to_owned(), ..Config::default() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_workers_killed_at_every_step() {
    let (cluster, dir) = (Cluster::start().await, tempfile::tempdir().unwrap());
    killed_at_every_step(cluster.database("steps", dir.path()).await).await;
}

/// What arrived at the receiver: per conversation the events, in the order in which they were first seen, and every message id.
#[derive(Default)]
struct Arrived {
    events: BTreeMap<String, Vec<String>>,
    ids: BTreeMap<String, usize>,
}

type Receiver = Arc<Mutex<Arrived>>;

async fn receive(State(arrived): State<Receiver>, headers: HeaderMap, body: String) {
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let mut arrived = arrived.lock().unwrap();
    let times = arrived.ids.entry(id).or_default();
    *times += 1;
    if *times == 1 {
        let conversation = body["data"]["conversation"].as_str().unwrap().to_owned();
        arrived.events.entry(conversation).or_default().push(body["type"].as_str().unwrap().to_owned());
    }
}

/// Servers that are killed while they summarise 500 conversations and tell of each twice: 1,500 jobs, whose effects somebody outside
/// counts.
async fn servers_killed(config: Config, mut nodes: Vec<Node>, kills: usize) {
    const CONVERSATIONS: usize = 500;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let arrived = Receiver::default();
    let router = Router::new().route("/", post(receive)).with_state(Arc::clone(&arrived));
    let mut receiving = JoinSet::new();
    receiving.spawn(async move { axum::serve(listener, router).await.unwrap() });

    let kept = Kept::open(&config).await;
    let hook = Webhook {
        id: floe::ids::HookId::new(),
        url: format!("http://{address}/"),
        events: EVENTS.iter().map(|&event| event.to_owned()).collect(),
        secret: new_secret(),
        created_at_ms: 1,
        gone_at_ms: None,
    };
    assert!(kept.store.add_webhook("default", &hook).await.unwrap());
    for _ in 0..CONVERSATIONS / 100 {
        let scribes: Vec<Scribe> = (0..100).map(|_| kept.talking("default", None, &["hello there"])).collect();
        for scribe in scribes {
            ended(scribe).await;
        }
    }
    let store = kept.store.clone();
    assert!(kept.running.stop(PATIENCE).await);

    for node in &mut nodes {
        node.set("FLOE_REACH_ALLOW", &address.to_string());
        node.set("FLOE_JOBS_LEASE_MS", "1000");
        node.set("FLOE_JOBS_POLL_MS", "100");
        node.set("FLOE_JOBS_ATTEMPTS_MAX", "1000");
        node.set("FLOE_JOBS_WEBHOOK_ATTEMPTS_MAX", "1000");
        node.start();
    }
    for round in 0..kills {
        let node = round % nodes.len();
        // Long enough to start and get to work, short enough to be in the middle of it.
        nodes[node].answers().await;
        time::sleep(Duration::from_millis(60 + 37 * (round as u64 % 9))).await;
        nodes[node].kill();
        nodes[node].start();
    }
    let all_there = async || {
        let jobs = store.jobs("default", &any()).await.unwrap();
        let ours = jobs.iter().filter(|job| ["summarise", "webhook"].contains(&job.kind.as_str()));
        let (all, done): (Vec<_>, Vec<_>) = (ours.clone().collect(), ours.filter(|job| job.state == "done").collect());
        all.len() == 3 * CONVERSATIONS && done.len() == all.len()
    };
    until("all jobs are done", all_there).await;
    for node in &mut nodes {
        node.finish().await;
    }
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.events.len(), CONVERSATIONS);
    for (conversation, events) in &arrived.events {
        assert_eq!(events, &EVENTS[..2], "each once, and in order: {conversation}");
    }
    assert_eq!(arrived.ids.len(), 2 * CONVERSATIONS, "one id per message, however often it was sent");
    let again = arrived.ids.values().sum::<usize>() - arrived.ids.len();
    eprintln!(
        "{kills} kills; {} messages sent once more: their server was killed before it could note the answer",
        again
    );
    drop(receiving);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_file_is_killed_and_everything_is_done_once() {
    let node = Node::new(None, None);
    std::fs::create_dir_all(node.store()).unwrap();
    let config = Config { dir: node.store(), ..Config::default() };
    servers_killed(config, vec![node], 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_with_postgres_are_killed_and_everything_is_done_once() {
    let (cluster, dir) = (Cluster::start().await, tempfile::tempdir().unwrap());
    let config = cluster.database("thousand", dir.path()).await;
    let nodes = (0..2).map(|_| Node::new(Some(cluster.url("thousand")), None)).collect();
    servers_killed(config, nodes, 16).await;
}
