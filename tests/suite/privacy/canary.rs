//! Words and secrets that are looked for everywhere: while a conversation is live, after it, after its user was erased, and after a
//! backup was brought back. With a real server, a real Postgres or a file, and a real Redis; typed, and spoken to the real recogniser.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use floe::{caller, protocol::native::Pace, replay};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::{net::TcpStream, time};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use crate::support::{bundled_model, fixture, node::Node, postgres::Cluster, redis::RedisServer};

const PATIENCE: Duration = Duration::from_secs(60);

/// Nobody says such a word by chance; an index that shares the beginnings of words still holds its end.
const TYPED: &str = "my password is qxanaryword77";
const WORD: &str = "anaryword77";
/// What the recogniser makes of the recording.
const SPOKEN: &str = "chicago";
/// A key of the server. It is in no store at all, and in no log.
const KEY: &str = "sk_qxsecret5519";

/// The server and everything it writes to.
struct Scene {
    node: Node,
    cluster: Option<Cluster>,
    redis: RedisServer,
    http: reqwest::Client,
}

const DATABASE: &str = "canary";

impl Scene {
    async fn start(with_postgres: bool) -> Self {
        let redis = RedisServer::start().await;
        let mut cluster = None;
        if with_postgres {
            let started = Cluster::start().await;
            let unused = tempfile::tempdir().unwrap();
            let _config = started.database(DATABASE, unused.path()).await;
            cluster = Some(started);
        }
        let mut node = Node::new(cluster.as_ref().map(|cluster| cluster.url(DATABASE)), Some(redis.url()));
        node.set("FLOE_STT_ENGINE", "whisper");
        node.set("FLOE_STT_MODEL", bundled_model().to_str().unwrap());
        node.set("FLOE_AGENT_ENGINE", "offline");
        node.set("FLOE_STORE_AUDIO", "true");
        node.set("FLOE_SERVER_KEYS", KEY);
        node.set("FLOE_SESSION_RESUME_WINDOW_S", "3");
        node.set("FLOE_JOBS_POLL_MS", "100");
        node.start();
        node.answers().await;
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Self { node, cluster, redis, http }
    }

    async fn ask(&self, method: reqwest::Method, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}/api/v1{path}", self.node.port);
        let answer = self.http.request(method, url).bearer_auth(KEY).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, text) = self.ask(reqwest::Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Until logins say whose a conversation is, the test says it.
    async fn belongs_to(&self, user: &str) {
        let sql = "UPDATE conversations SET user_id = $1 WHERE user_id IS NULL";
        match &self.cluster {
            Some(cluster) => {
                let mut connection = sqlx::PgConnection::connect(&cluster.url(DATABASE)).await.unwrap();
                sqlx::query(sql).bind(user).execute(&mut connection).await.unwrap();
            }
            None => {
                let file = self.node.store().join("floe.db");
                let mut connection = sqlx::SqliteConnection::connect(file.to_str().unwrap()).await.unwrap();
                sqlx::query(sql).bind(user).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// Where a word is found: files of the server's directory, rows of Postgres, keys of Redis, the log.
    async fn places_of(&self, word: &str) -> Vec<String> {
        let mut places = Vec::new();
        for path in files(&self.node.store()) {
            // A file may go while we look.
            if std::fs::read(&path).is_ok_and(|bytes| contains(&bytes, word)) {
                places.push(format!("file {}", path.file_name().unwrap().to_string_lossy()));
            }
        }
        if let Some(cluster) = &self.cluster
            && contains(cluster.dump(DATABASE).as_bytes(), word)
        {
            places.push("postgres".to_owned());
        }
        for (key, value) in self.redis_holds().await {
            if contains(key.as_bytes(), word) || contains(&value, word) {
                places.push(format!("redis {}", key.split(':').nth(1).unwrap_or_default()));
            }
        }
        if contains(self.node.whole_log().as_bytes(), word) {
            places.push("log".to_owned());
        }
        places
    }

    async fn redis_holds(&self) -> Vec<(String, Vec<u8>)> {
        let keys: Vec<String> = self.redis.ask(redis::cmd("KEYS").arg("*")).await.unwrap();
        let mut all = Vec::new();
        for key in keys {
            let kind: String = self.redis.ask(redis::cmd("TYPE").arg(&key)).await.unwrap();
            let mut ask = match kind.as_str() {
                "string" => redis::cmd("GET"),
                "hash" => redis::cmd("HGETALL"),
                "zset" => redis::cmd("ZRANGE"),
                // It is gone by now.
                "none" => continue,
                other => panic!("nobody has looked into a {other}: {key}"),
            };
            ask.arg(&key);
            if kind == "zset" {
                ask.arg(0).arg(-1);
            }
            let value: redis::Value = self.redis.ask(&mut ask).await.unwrap();
            all.push((key, flat(&value)));
        }
        all
    }

    /// Waits until words are nowhere any more.
    async fn nowhere(&self, words: &[&str]) {
        let looking = async {
            loop {
                let mut places = Vec::new();
                for word in words {
                    places.extend(self.places_of(word).await);
                }
                if places.is_empty() {
                    return;
                }
                time::sleep(Duration::from_millis(200)).await;
            }
        };
        if time::timeout(Duration::from_secs(20), looking).await.is_err() {
            for word in words {
                assert_eq!(self.places_of(word).await, Vec::<String>::new(), "{word}");
            }
        }
    }

    /// Waits until every conversation is over and summed up.
    async fn settled(&self) -> Vec<Value> {
        let waiting = async {
            loop {
                let list = self.get("/conversations?limit=100").await;
                let conversations = list["data"].as_array().unwrap().clone();
                if conversations.iter().all(|one| one["state"] != "live" && !one["summary"].is_null()) {
                    return conversations;
                }
                time::sleep(Duration::from_millis(100)).await;
            }
        };
        time::timeout(PATIENCE, waiting).await.expect("conversations are summed up")
    }
}

fn flat(value: &redis::Value) -> Vec<u8> {
    match value {
        redis::Value::BulkString(bytes) => bytes.clone(),
        redis::Value::Array(values) | redis::Value::Set(values) => values.iter().flat_map(flat).collect(),
        redis::Value::Map(pairs) => pairs.iter().flat_map(|(key, value)| [flat(key), flat(value)].concat()).collect(),
        other => format!("{other:?}").into_bytes(),
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    let small = bytes.to_ascii_lowercase();
    small.windows(word.len()).any(|window| window == word.as_bytes())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() { files.extend(self::files(&entry.path())) } else { files.push(entry.path()) }
    }
    files
}

/// Somebody who types.
struct Typist {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    conversation: String,
}

impl Typist {
    async fn connect(port: u16) -> Self {
        let mut request = format!("ws://127.0.0.1:{port}/v1/stream").into_client_request().unwrap();
        let offered = format!("floe.v1, floe.auth.{KEY}");
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(&offered).unwrap());
        let (socket, _) = connect_async(request).await.unwrap();
        let mut typist = Self { socket, conversation: String::new() };
        let hello = json!({
            "type": "hello", "speak": false, "consent": true, "features": ["resume"],
        });
        typist.socket.send(Message::text(hello.to_string())).await.unwrap();
        let ready = typist.until("ready").await.expect("it is ready");
        typist.conversation = ready["conversation"].as_str().unwrap().to_owned();
        typist
    }

    /// Types, and waits for the answer's end.
    async fn say(&mut self, words: &str) -> Option<Value> {
        let text = json!({ "type": "text", "text": words, "reply": true });
        self.socket.send(Message::text(text.to_string())).await.ok()?;
        self.until("reply.done").await
    }

    async fn until(&mut self, kind: &str) -> Option<Value> {
        let waiting = async {
            while let Some(Ok(message)) = self.socket.next().await {
                let Message::Text(text) = message else { continue };
                let event: Value = serde_json::from_str(&text).unwrap();
                if event["type"] == kind {
                    return Some(event);
                }
            }
            None
        };
        time::timeout(PATIENCE, waiting).await.expect("it answers or closes")
    }

    /// Waits until a turn is on disk.
    async fn until_kept(&mut self) {
        let said = json!({ "type": "text", "text": "and on", "reply": false });
        self.socket.send(Message::text(said.to_string())).await.unwrap();
        let kept = self.until("turn.committed").await.expect("it is told");
        assert_eq!(kept["durable"], true, "{kept}");
    }

    async fn goodbye(mut self) {
        self.socket.send(Message::text(json!({ "type": "bye", "flush": true }).to_string())).await.unwrap();
        while let Ok(Some(Ok(_))) = time::timeout(PATIENCE, self.socket.next()).await {}
    }
}

async fn speak(port: u16) {
    let recording = replay::read(&fixture("audio/03-rms.wav")).await.unwrap();
    let options = caller::Options {
        pace: Pace::File,
        token: Some(KEY.into()),
        ..caller::Options::new(format!("ws://127.0.0.1:{port}/v1/stream"))
    };
    let report = caller::call(&recording, &options).await.unwrap();
    let heard: Vec<&str> = report.turns.iter().filter_map(|turn| turn.text.as_deref()).collect();
    assert!(heard.join(" ").to_lowercase().contains(SPOKEN), "{heard:?}");
}

async fn play(with_postgres: bool) {
    let mut scene = Scene::start(with_postgres).await;
    scene.talk().await;
    let conversations = scene.settled().await;
    assert!(conversations.iter().any(|one| one["consent"] == true), "the client said so");
    for word in [WORD, SPOKEN] {
        assert!(!scene.places_of(word).await.is_empty(), "{word} is kept so far");
        let found = scene.get(&format!("/search?q={}", if word == WORD { "qxanaryword77" } else { word })).await;
        assert!(!found["data"].as_array().unwrap().is_empty());
    }

    scene.belongs_to("anna").await;
    let export = scene.get("/users/anna/export").await;
    assert_eq!(export["conversations"].as_array().unwrap().len(), conversations.len());
    assert!(export.to_string().contains("qxanaryword77") && export.to_string().to_lowercase().contains(SPOKEN));
    assert!(export.to_string().contains("1-user"), "with its sound");
    assert!(scene.sounds() > 0, "what was spoken is kept as sound, too");
    let backup = scene.back_up().await;

    // Somebody is in the middle of it.
    let mut live = Typist::connect(scene.node.port).await;
    live.say(TYPED).await.unwrap();
    live.until_kept().await;
    scene.belongs_to("anna").await;
    assert_eq!(scene.ask(reqwest::Method::DELETE, "/users/anna").await.0, 202);
    scene.empty().await;
    // Her session learns it from its next word, of which nothing is kept.
    while live.say(TYPED).await.is_some() {}
    scene.nowhere(&[WORD, SPOKEN]).await;

    // A backup brings everything back, and the server erases it again.
    scene.bring_back(backup).await;
    scene.empty().await;
    scene.nowhere(&[WORD, SPOKEN]).await;
    // Of a server that has been away, at its start; of one that has not, within 30 s.
    let silent = async {
        while scene.sounds() > 0 {
            time::sleep(Duration::from_millis(100)).await;
        }
    };
    time::timeout(PATIENCE, silent).await.expect("sound is erased");
    let audit = scene.get("/audit?limit=100").await.to_string();
    assert!(!audit.contains("qxanaryword77"), "not even what was searched for");
    assert_eq!(scene.places_of(KEY).await, Vec::<String>::new());
    scene.node.finish().await;
    for word in [WORD, SPOKEN, KEY] {
        assert_eq!(scene.places_of(word).await, Vec::<String>::new(), "nor after it has ended");
    }
}

impl Scene {
    /// Types and speaks, also while the database hangs, and looks where the words are meanwhile.
    async fn talk(&self) {
        let port = self.node.port;
        let mut live = Typist::connect(port).await;
        live.say(TYPED).await.unwrap();
        live.say("What did I say?").await.unwrap();
        let written = async {
            loop {
                let places = self.places_of(WORD).await;
                if places.iter().any(|place| place == "postgres" || place.starts_with("file floe.db")) {
                    return places;
                }
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        let places = time::timeout(PATIENCE, written).await.expect("words are kept");
        // docs/operations.md: the state of a live conversation, and nothing else.
        let in_redis: Vec<&String> = places.iter().filter(|place| place.starts_with("redis")).collect();
        assert_eq!(in_redis, ["redis snapshot"], "so the test would see it");
        assert!(!places.contains(&"log".to_owned()));
        live.goodbye().await;
        speak(port).await;
        let Some(cluster) = &self.cluster else { return };
        // The database hangs: words go to the spool, and from there to the database.
        let mut typist = Typist::connect(port).await;
        cluster.hang();
        typist.say(TYPED).await.unwrap();
        let spooled = async {
            while !self.places_of_files(WORD).contains(&"spool.v1".to_owned()) {
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        time::timeout(PATIENCE, spooled).await.expect("words are in the spool");
        cluster.go_on();
        typist.goodbye().await;
    }

    /// Waits until no conversation is left.
    async fn empty(&self) {
        let erased = async {
            while !self.get("/conversations").await["data"].as_array().unwrap().is_empty() {
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        time::timeout(PATIENCE, erased).await.expect("everything of hers is erased");
    }
}

/// What an operator has put aside.
enum Backup {
    File(Vec<u8>),
    Dump(String),
}

impl Scene {
    fn places_of_files(&self, word: &str) -> Vec<String> {
        let holds = |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| contains(&bytes, word));
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        files(&self.node.store()).into_iter().filter(holds).map(name).collect()
    }

    /// Files of sound.
    fn sounds(&self) -> usize {
        files(&self.node.store()).iter().filter(|path| path.extension().is_some_and(|kind| kind == "opus")).count()
    }

    async fn back_up(&self) -> Backup {
        if let Some(cluster) = &self.cluster {
            return Backup::Dump(cluster.dump(DATABASE));
        }
        let target = tempfile::tempdir().unwrap();
        let copy = target.path().join("copy.db");
        let file = self.node.store().join("floe.db");
        let mut connection = sqlx::SqliteConnection::connect(file.to_str().unwrap()).await.unwrap();
        sqlx::query("VACUUM INTO $1").bind(copy.to_str().unwrap()).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Backup::File(std::fs::read(copy).unwrap())
    }

    /// Stops the server, puts the old database in place of the new one, starts the server. Its other files stay.
    async fn bring_back(&mut self, backup: Backup) {
        self.node.finish().await;
        match backup {
            Backup::File(bytes) => {
                let store = self.node.store();
                for name in ["floe.db-wal", "floe.db-shm"] {
                    let _not_there = std::fs::remove_file(store.join(name));
                }
                std::fs::write(store.join("floe.db"), bytes).unwrap();
            }
            Backup::Dump(sql) => self.cluster.as_ref().unwrap().restore(DATABASE, &sql),
        }
        assert!(!self.places_of(WORD).await.is_empty(), "it is back");
        self.node.start();
        self.node.answers().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_in_a_file_nor_in_redis_nor_in_the_log() {
    play(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_in_postgres_nor_in_redis_nor_in_the_log() {
    play(true).await;
}
