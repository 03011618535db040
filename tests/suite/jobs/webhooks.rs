//! Events arrive signed, in order, again after a failure; and not where they must not.

use std::sync::Mutex;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use floe::{
    ids::HookId,
    jobs::webhook::{Deliver, new_secret},
    reach,
    store::webhooks::{EVENTS, Webhook},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use tokio::{net::TcpListener, task::JoinSet};

use super::*;

promises!(
    events_arrive_signed_and_in_order,
    a_receiver_that_fails_is_tried_again_and_holds_up_only_its_own_conversation,
    a_receiver_that_is_gone_is_left_alone,
    nothing_is_sent_where_it_must_not,
);

/// A receiver that answers as it is told, and notes what came.
struct Receiver {
    address: String,
    came: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
    _task: JoinSet<()>,
}

type Desk = (Arc<Mutex<Vec<(HeaderMap, String)>>>, Arc<Mutex<Vec<StatusCode>>>);

async fn receive(State((came, answers)): State<Desk>, headers: HeaderMap, body: String) -> StatusCode {
    came.lock().unwrap().push((headers, body));
    answers.lock().unwrap().pop().unwrap_or(StatusCode::NO_CONTENT)
}

impl Receiver {
    async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let came = Arc::default();
        let answers: Vec<StatusCode> = answers.iter().rev().map(|code| StatusCode::from_u16(*code).unwrap()).collect();
        let answers = Arc::new(Mutex::new(answers));
        let router = Router::new().route("/", post(receive)).with_state((Arc::clone(&came), Arc::clone(&answers)));
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, came, answers, _task: task }
    }

    fn came(&self) -> Vec<serde_json::Value> {
        self.came.lock().unwrap().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
    }
}

fn hook(url: String, events: &[&str]) -> Webhook {
    Webhook {
        id: HookId::new(),
        url,
        events: events.iter().map(|&event| event.to_owned()).collect(),
        secret: new_secret(),
        created_at_ms: 1,
        gone_at_ms: None,
    }
}

fn deliver(kept: &Kept, allow: &str) -> runner::Running {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let reach = reach::Client::new(&reach::Config { allow: allow.into(), ..reach::Config::default() }).unwrap();
    let jobs: jobs::List = vec![Arc::new(Deliver::new(kept.store.clone(), reach))];
    runner::start(&kept.store, "node", &quick(), jobs)
}

async fn settled(kept: &Kept) {
    until("every message has come to an end", async || {
        let jobs = kept.store.jobs("default", &JobFilter { kind: Some("webhook".into()), ..any() }).await.unwrap();
        !jobs.is_empty() && jobs.iter().all(|job| ["done", "dead"].contains(&job.state.as_str()))
    })
    .await;
}

async fn events_arrive_signed_and_in_order(config: Config) {
    let kept = Kept::open(&config).await;
    let receiver = Receiver::start(&[]).await;
    let hook = hook(format!("http://{}/", receiver.address), EVENTS);
    assert!(kept.store.add_webhook("default", &hook).await.unwrap());
    assert!(kept.store.add_webhook("other", &self::hook(hook.url.clone(), EVENTS)).await.unwrap());
    let id = kept.talked("default", None, &["a secret"]).await;
    kept.store.delete(Scope::tenant("default"), id).await.unwrap().unwrap();
    let running = deliver(&kept, &receiver.address);
    settled(&kept).await;
    let came = receiver.came();
    let told: Vec<_> = came.iter().map(|body| body["type"].as_str().unwrap()).collect();
    assert_eq!(told, ["conversation.ended", "conversation.deleted"]);
    assert!(came.iter().all(|body| body["data"]["conversation"] == id.to_string()));
    for (headers, body) in receiver.came.lock().unwrap().iter() {
        assert!(!body.contains("secret"), "messages hold nothing that anybody said");
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        let signed = format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp"));
        let key = STANDARD.decode(hook.secret.expose_secret().strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(signed.as_bytes());
        let signature = STANDARD.decode(text("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
        mac.verify_slice(&signature).expect("it is signed");
    }
    assert!(kept.store.test_webhook("default", hook.id).await.is_ok());
    until("the test arrives", async || receiver.came().iter().any(|body| body["type"] == "webhook.test")).await;
    assert!(kept.store.remove_webhook("default", hook.id).await.unwrap());
    assert!(!kept.store.remove_webhook("default", hook.id).await.unwrap());
    let before = receiver.came().len();
    kept.talked("default", None, &["after that"]).await;
    settled(&kept).await;
    assert_eq!(receiver.came().len(), before);
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}

async fn a_receiver_that_fails_is_tried_again_and_holds_up_only_its_own_conversation(config: Config) {
    let kept = Kept::open(&config).await;
    let receiver = Receiver::start(&[500, 503, 302]).await;
    assert!(kept.store.add_webhook("default", &hook(format!("http://{}/", receiver.address), EVENTS)).await.unwrap());
    let id = kept.talked("default", None, &["one"]).await;
    kept.store.delete(Scope::tenant("default"), id).await.unwrap().unwrap();
    let running = deliver(&kept, &receiver.address);
    settled(&kept).await;
    let came: Vec<_> = receiver.came().iter().map(|body| body["type"].as_str().unwrap().to_owned()).collect();
    let expected = ["conversation.ended"; 4].into_iter().chain(["conversation.deleted"]).collect::<Vec<_>>();
    assert_eq!(came, expected, "the later one waits for the earlier");
    let ids: Vec<String> = receiver
        .came
        .lock()
        .unwrap()
        .iter()
        .map(|(headers, _)| headers["webhook-id"].to_str().unwrap().to_owned())
        .collect();
    assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0], "one id, however often it is sent");
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}

async fn a_receiver_that_is_gone_is_left_alone(config: Config) {
    let kept = Kept::open(&config).await;
    let receiver = Receiver::start(&[410]).await;
    let hook = hook(format!("http://{}/", receiver.address), EVENTS);
    assert!(kept.store.add_webhook("default", &hook).await.unwrap());
    let running = deliver(&kept, &receiver.address);
    kept.talked("default", None, &["one"]).await;
    settled(&kept).await;
    assert!(kept.store.webhook("default", hook.id).await.unwrap().unwrap().gone_at_ms.is_some());
    kept.talked("default", None, &["two"]).await;
    assert_eq!(receiver.came().len(), 1);
    assert!(receiver.answers.lock().unwrap().is_empty());
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}

async fn nothing_is_sent_where_it_must_not(config: Config) {
    let kept = Kept::open(&config).await;
    let receiver = Receiver::start(&[]).await;
    // As rows that somebody wrote past the API, or names that lead elsewhere by now.
    for url in
        [format!("http://{}/", receiver.address), format!("https://{}/", receiver.address), "https://localhost/".into()]
    {
        assert!(kept.store.add_webhook("default", &hook(url, &EVENTS[..1])).await.unwrap());
    }
    kept.talked("default", None, &["one"]).await;
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let reach = reach::Client::new(&reach::Config::default()).unwrap();
    let jobs: jobs::List = vec![Arc::new(Deliver::new(kept.store.clone(), reach))];
    let config = jobs::Config { webhook_attempts_max: 2, ..quick() };
    let running = runner::start(&kept.store, "node", &config, jobs);
    settled(&kept).await;
    let jobs = kept.store.jobs("default", &JobFilter { kind: Some("webhook".into()), ..any() }).await.unwrap();
    let mut errors: Vec<_> = jobs.iter().map(|job| (job.state.as_str(), job.error.as_deref().unwrap())).collect();
    errors.sort_unstable();
    let private = ("dead", "that address leads into a private network (loopback)");
    assert_eq!(errors, [private, private, ("dead", "that is no https:// address")]);
    assert!(receiver.came().is_empty());
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}
