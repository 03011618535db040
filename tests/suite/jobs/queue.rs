//! The queue and its workers: one effect, in order, tried again, given up, taken up again.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use floe::{
    agent::extract,
    jobs::summary::Summarise,
    store::{Scope, jobs::kind},
};
use serde_json::json;

use super::*;

promises!(
    a_finished_conversation_gets_its_title_and_summary,
    what_has_one_effect_is_there_once_and_again_when_asked_for_anew,
    whoever_lost_the_lease_writes_nothing,
    what_was_asked_for_meanwhile_is_done_again,
    one_lane_is_one_after_the_other,
    failures_are_tried_again_then_given_up_then_retried_by_hand,
    a_job_that_ends_its_workers_is_given_up,
    a_lease_is_kept_while_the_work_goes_on,
    a_server_that_stops_gives_back_what_it_has_not_done,
    a_conversation_whose_server_died_is_summarised_too,
);

fn job(kind: &'static str, subject: &str) -> NewJob {
    NewJob::once("default", kind, subject.to_owned(), json!({}))
}

async fn a_finished_conversation_gets_its_title_and_summary(config: Config) {
    let kept = Kept::open(&config).await;
    let said = ["When does the train to Berlin leave?", "The train to Berlin leaves at seven.", "Thanks."];
    let id = kept.talked("default", None, &said).await;
    let empty = kept.talked("default", None, &[]).await;
    let jobs: jobs::List = vec![Arc::new(Summarise::new(kept.store.clone(), None, true))];
    let running = runner::start(&kept.store, "node", &quick(), jobs);
    all_done(&kept.store, "default").await;
    let conversation = kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap();
    assert_eq!(conversation.title.as_deref(), Some("When does the train to Berlin leave?"));
    assert!(conversation.summary.unwrap().contains("The train to Berlin leaves at seven."));
    assert_eq!(conversation.summary_by.as_deref(), Some(extract::METHOD), "it is said how");
    let conversation = kept.store.conversation(Scope::tenant("default"), empty).await.unwrap().unwrap();
    assert_eq!((conversation.title, conversation.summary), (None, None), "nothing is made of nothing");
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}

async fn what_has_one_effect_is_there_once_and_again_when_asked_for_anew(config: Config) {
    let kept = Kept::open(&config).await;
    for _ in 0..3 {
        kept.store.enqueue(&job(kind::CLEAN, "one")).await.unwrap();
    }
    kept.store.enqueue(&job(kind::CLEAN, "two")).await.unwrap();
    assert_eq!(states(&kept.store, "default").await, ["queued", "queued"]);
    let done = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&done);
    let jobs = doing(kind::CLEAN, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(Effect::Nothing) }
    });
    let running = runner::start(&kept.store, "node", &quick(), jobs);
    all_done(&kept.store, "default").await;
    kept.store.enqueue(&job(kind::CLEAN, "one")).await.unwrap();
    assert_eq!(states(&kept.store, "default").await, ["done", "done"], "the same again is the same");
    kept.store.enqueue(&NewJob::once("default", kind::CLEAN, "one".into(), json!({"at": 2}))).await.unwrap();
    all_done(&kept.store, "default").await;
    until("it is done again", async || done.load(Ordering::Relaxed) == 3).await;
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}

async fn whoever_lost_the_lease_writes_nothing(config: Config) {
    let kept = Kept::open(&config).await;
    let id = kept.talked("default", None, &["hello"]).await;
    let summary =
        |title: &str| Effect::Summary {
            conversation: id, title: title.into(), summary: "…".into(), by: "test".into()
        };
    let first = kept.store.claim_jobs(&[kind::SUMMARISE], "one", 10, 0).await.unwrap().remove(0);
    assert!(kept.store.claim_jobs(&[kind::WEBHOOK], "two", 10, 0).await.unwrap().is_empty(), "of another kind");
    time::sleep(Duration::from_millis(5)).await;
    let second = kept.store.claim_jobs(&[kind::SUMMARISE], "two", 10, 60_000).await.unwrap().remove(0);
    assert_eq!((first.id, second.id.uuid(), second.attempts), (second.id, first.id.uuid(), 2));
    assert!(kept.store.finish_job(&first, &summary("first")).await.unwrap().is_err(), "its lease ran out");
    assert!(kept.store.extend_lease(&first, 1_000).await.unwrap().is_err());
    assert!(kept.store.fail_job(&first, "no", None).await.unwrap().is_err());
    kept.store.return_job(&first).await.unwrap();
    assert_eq!(kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap().title, None);
    assert!(kept.store.claim_jobs(&[kind::SUMMARISE], "three", 10, 0).await.unwrap().is_empty(), "somebody has it");
    assert!(kept.store.finish_job(&second, &summary("second")).await.unwrap().is_ok());
    assert!(kept.store.finish_job(&second, &summary("again")).await.unwrap().is_err(), "it is done");
    let title = kept.store.conversation(Scope::tenant("default"), id).await.unwrap().unwrap().title;
    assert_eq!(title.as_deref(), Some("second"));
    kept.stop().await;
}

async fn what_was_asked_for_meanwhile_is_done_again(config: Config) {
    let kept = Kept::open(&config).await;
    kept.store.enqueue(&job(kind::CLEAN, "one")).await.unwrap();
    let claimed = kept.store.claim_jobs(&[kind::CLEAN], "one", 1, 60_000).await.unwrap().remove(0);
    kept.store.enqueue(&NewJob::once("default", kind::CLEAN, "one".into(), json!({"at": 2}))).await.unwrap();
    assert_eq!(states(&kept.store, "default").await, ["running"], "nobody is interrupted");
    assert!(kept.store.finish_job(&claimed, &Effect::Nothing).await.unwrap().is_ok());
    assert_eq!(states(&kept.store, "default").await, ["queued"], "what was done was the older one");
    let again = kept.store.claim_jobs(&[kind::CLEAN], "one", 1, 60_000).await.unwrap().remove(0);
    assert_eq!((again.attempts, &again.payload), (1, &json!({"at": 2})));
    assert!(kept.store.finish_job(&again, &Effect::Nothing).await.unwrap().is_ok());
    assert_eq!(states(&kept.store, "default").await, ["done"]);
    kept.stop().await;
}

async fn one_lane_is_one_after_the_other(config: Config) {
    let kept = Kept::open(&config).await;
    for number in 0..10 {
        for lane in ["a", "b"] {
            let subject = format!("{lane}{number}");
            kept.store.enqueue(&NewJob { lane: Some(lane.into()), ..job(kind::CLEAN, &subject) }).await.unwrap();
        }
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (note, failing) = (Arc::clone(&seen), Arc::new(AtomicUsize::new(0)));
    let jobs = doing(kind::CLEAN, move |job| {
        let (note, failing) = (Arc::clone(&note), Arc::clone(&failing));
        async move {
            // Somebody in the middle needs several attempts: those behind it wait.
            if job.subject == "a4" && failing.fetch_add(1, Ordering::Relaxed) < 3 {
                return Err(Failure::Later("not yet".into()));
            }
            note.lock().unwrap().push(job.subject);
            Ok(Effect::Nothing)
        }
    });
    let running = runner::start(&kept.store, "node", &jobs::Config { workers: 6, ..quick() }, jobs);
    all_done(&kept.store, "default").await;
    let seen = seen.lock().unwrap().clone();
    for lane in ["a", "b"] {
        let of_lane: Vec<&String> = seen.iter().filter(|subject| subject.starts_with(lane)).collect();
        assert_eq!(
            of_lane,
            (0..10).map(|number| format!("{lane}{number}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
    }
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}

async fn failures_are_tried_again_then_given_up_then_retried_by_hand(config: Config) {
    let kept = Kept::open(&config).await;
    kept.store.enqueue(&job(kind::CLEAN, "later")).await.unwrap();
    kept.store.enqueue(&job(kind::CLEAN, "never")).await.unwrap();
    let good = Arc::new(AtomicUsize::new(0));
    let is_good = Arc::clone(&good);
    let jobs = doing(kind::CLEAN, move |job| {
        let is_good = Arc::clone(&is_good);
        async move {
            match job.subject.as_str() {
                _ if is_good.load(Ordering::Relaxed) == 1 => Ok(Effect::Nothing),
                "later" => Err(Failure::Later("it rains".into())),
                _ => Err(Failure::Never("it makes no sense".into())),
            }
        }
    });
    let running = runner::start(&kept.store, "node", &jobs::Config { attempts_max: 3, ..quick() }, jobs);
    until("both are given up", async || states(&kept.store, "default").await == ["dead", "dead"]).await;
    let listed = kept.store.jobs("default", &JobFilter { state: Some("dead".into()), ..any() }).await.unwrap();
    let told: Vec<_> = listed.iter().map(|job| (job.subject.as_str(), job.attempts, job.error.as_deref())).collect();
    assert_eq!(told, [("never", 1, Some("it makes no sense")), ("later", 3, Some("it rains"))]);
    assert!(kept.store.jobs("other", &any()).await.unwrap().is_empty());
    assert!(!kept.store.retry_job("other", listed[0].id).await.unwrap(), "of another tenant");
    assert!(kept.store.job("other", listed[0].id).await.unwrap().is_none());
    good.store(1, Ordering::Relaxed);
    for job in &listed {
        assert!(kept.store.retry_job("default", job.id).await.unwrap());
    }
    all_done(&kept.store, "default").await;
    assert_eq!(kept.store.job("default", listed[0].id).await.unwrap().unwrap().error, None);
    assert!(running.stop(PATIENCE).await);
    assert_eq!(kept.store.clear_jobs(store_now() + 1_000, 0).await.unwrap(), 2);
    assert!(states(&kept.store, "default").await.is_empty());
    kept.stop().await;
}

/// Later than everything so far.
fn store_now() -> i64 {
    i64::MAX / 2
}

async fn a_job_that_ends_its_workers_is_given_up(config: Config) {
    let kept = Kept::open(&config).await;
    kept.store.enqueue(&job(kind::CLEAN, "bomb")).await.unwrap();
    let jobs = doing(kind::CLEAN, |_| async { Ok(Effect::Nothing) });
    let watcher: runner::Watcher = Arc::new(|step, _| step != runner::Step::Worked);
    let config = jobs::Config { attempts_max: 2, lease_ms: 60, ..quick() };
    let running = runner::start_watched(&kept.store, "node", &config, jobs, Some(watcher));
    until("it is given up", async || states(&kept.store, "default").await == ["dead"]).await;
    let told = kept.store.jobs("default", &any()).await.unwrap().remove(0);
    assert_eq!((told.attempts, told.error.as_deref()), (3, Some("its workers were lost")));
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}

async fn a_lease_is_kept_while_the_work_goes_on(config: Config) {
    let kept = Kept::open(&config).await;
    kept.store.enqueue(&job(kind::CLEAN, "long")).await.unwrap();
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let jobs = doing(kind::CLEAN, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async {
            time::sleep(Duration::from_millis(2_500)).await;
            Ok(Effect::Nothing)
        }
    });
    let running = runner::start(&kept.store, "node", &quick(), jobs);
    all_done(&kept.store, "default").await;
    assert_eq!(begun.load(Ordering::Relaxed), 1, "four leases long, and nobody took it");
    assert!(running.stop(PATIENCE).await);
    kept.stop().await;
}

async fn a_server_that_stops_gives_back_what_it_has_not_done(config: Config) {
    let kept = Kept::open(&config).await;
    kept.store.enqueue(&job(kind::CLEAN, "endless")).await.unwrap();
    let jobs = doing(kind::CLEAN, |_| std::future::pending());
    let running = runner::start(&kept.store, "node", &quick(), jobs);
    until("somebody is at it", async || states(&kept.store, "default").await == ["running"]).await;
    assert!(!running.stop(Duration::from_millis(50)).await, "it was not done");
    let told = kept.store.jobs("default", &any()).await.unwrap().remove(0);
    assert_eq!((told.state.as_str(), told.attempts), ("queued", 0), "and that was no attempt");
    let slow = doing(kind::CLEAN, |_| async {
        time::sleep(Duration::from_millis(100)).await;
        Ok(Effect::Nothing)
    });
    let running = runner::start(&kept.store, "node", &quick(), slow);
    until("somebody is at it", async || states(&kept.store, "default").await != ["queued"]).await;
    assert!(running.stop(PATIENCE).await, "there was time");
    assert_eq!(states(&kept.store, "default").await, ["done"]);
    kept.stop().await;
}

async fn a_conversation_whose_server_died_is_summarised_too(config: Config) {
    let kept = Kept::open(&config).await;
    let scribe = kept.talking("default", None, &["hello"]);
    let mut progress = scribe.progress();
    progress.wait_for(|progress| progress.durable_to >= 2).await.unwrap();
    std::mem::forget(scribe);
    kept.stop().await;
    let kept = Kept::open(&config).await;
    until("it is noticed", async || states(&kept.store, "default").await == ["queued"]).await;
    kept.stop().await;
}
