//! The workers: answers, cancelling, panics, refusals and the end, on real threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use floe::{
    compute::{AbortFlag, Class, Handle, Kernel, Sizes},
    engine::{Error, ErrorKind},
};

const SOON: Duration = Duration::from_millis(100);

enum Job {
    Echo(u32),
    /// Runs until it is aborted.
    Endless,
    Panic,
}

/// Counts what it has done; replies the count with the echo.
struct TestKernel {
    done: u32,
}

impl Kernel for TestKernel {
    type Job = Job;
    type Reply = (u32, u32);

    fn run(&mut self, job: Job, abort: &AbortFlag) -> Result<(u32, u32), Error> {
        self.done += 1;
        match job {
            Job::Echo(number) => Ok((number, self.done)),
            Job::Panic => panic!("as told"),
            Job::Endless => {
                while !abort.is_set() {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                Err(Error::new(ErrorKind::Cancelled, "aborted"))
            }
        }
    }
}

fn pool(workers: usize) -> Handle<TestKernel> {
    let sizes = Sizes { workers, finals: 2, partials: 2 };
    Handle::start("test", sizes, || Ok(TestKernel { done: 0 })).unwrap()
}

/// Waits until the condition holds; fails after 20 s.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the condition never held");
}

#[tokio::test]
async fn a_job_is_answered_even_if_it_is_polled_late() {
    let pool = pool(1);
    let pending = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Echo(7));
    until(|| pool.pressure().running == 0 && pool.pressure().finals_waiting == 0).await;
    assert_eq!(pending.await.unwrap(), (7, 1));
}

#[tokio::test]
async fn dropping_the_answer_stops_a_running_job_and_removes_a_waiting_one() {
    let pool = pool(1);
    let running = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Endless);
    until(|| running.is_running()).await;
    let waiting = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Endless);
    assert_eq!(pool.pressure().finals_waiting, 1);
    drop(waiting);
    assert_eq!(pool.pressure().finals_waiting, 0);
    drop(running);
    until(|| pool.pressure().running == 0).await;
    assert_eq!(pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Echo(1)).await.unwrap().0, 1);
}

#[tokio::test]
async fn a_panic_fails_its_job_and_the_worker_goes_on_with_a_fresh_kernel() {
    let pool = pool(1);
    assert_eq!(pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Echo(1)).await.unwrap(), (1, 1));
    let error = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Panic).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Broken);
    assert_eq!(pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Echo(2)).await.unwrap(), (2, 1));
}

#[tokio::test]
async fn a_kernel_that_cannot_be_made_again_fails_jobs_until_it_can() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let sizes = Sizes { workers: 1, finals: 2, partials: 2 };
    let pool = Handle::start("test", sizes, move || match counter.fetch_add(1, Ordering::SeqCst) {
        1 => Err(Error::new(ErrorKind::Broken, "not now")),
        2 => panic!("not now either"),
        _ => Ok(TestKernel { done: 0 }),
    })
    .unwrap();
    for job in [Job::Panic, Job::Echo(1), Job::Echo(2)] {
        let error = pool.submit(pool.fresh_key(), Class::Final, SOON, job).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Broken);
    }
    assert_eq!(pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Echo(3)).await.unwrap(), (3, 1));
    assert_eq!(made.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_full_queue_says_busy_and_that_is_worth_a_retry() {
    let pool = pool(1);
    let running = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Endless);
    until(|| running.is_running()).await;
    let _waiting = [(); 2].map(|()| pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Endless));
    let error = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Echo(1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.kind.is_retryable());
}

#[tokio::test]
async fn a_final_ends_the_partials_of_its_utterance() {
    let pool = pool(1);
    let key = pool.fresh_key();
    let running = pool.submit(key, Class::Partial, SOON, Job::Endless);
    until(|| running.is_running()).await;
    let waiting = pool.submit(key, Class::Partial, SOON, Job::Endless);
    let answer = pool.submit(key, Class::Final, SOON, Job::Echo(5)).await.unwrap();
    assert_eq!(answer.0, 5);
    assert_eq!(running.await.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(waiting.await.unwrap_err().kind, ErrorKind::Cancelled);
}

#[tokio::test]
async fn the_end_of_the_pool_answers_whoever_still_waits() {
    let pool = pool(1);
    let running = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Endless);
    until(|| running.is_running()).await;
    let waiting = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Endless);
    let refused = pool.clone();
    drop(refused);
    drop(pool);
    assert_eq!(running.await.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(waiting.await.unwrap_err().kind, ErrorKind::Cancelled);
}

#[test]
fn a_kernel_that_cannot_be_made_fails_the_start() {
    let sizes = Sizes { workers: 3, finals: 2, partials: 2 };
    let made = AtomicUsize::new(0);
    let result = Handle::<TestKernel>::start("test", sizes, move || match made.fetch_add(1, Ordering::SeqCst) {
        1 => Err(Error::new(ErrorKind::Rejected, "no model")),
        _ => Ok(TestKernel { done: 0 }),
    });
    assert_eq!(result.unwrap_err().kind, ErrorKind::Rejected);
}

#[tokio::test]
async fn pressure_tells_what_runs_and_waits() {
    let pool = pool(2);
    let jobs = [(); 2].map(|()| pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Endless));
    until(|| pool.pressure().running == 2).await;
    let waiting = pool.submit(pool.fresh_key(), Class::Final, SOON, Job::Endless);
    let pressure = pool.pressure();
    assert_eq!((pressure.workers, pressure.running, pressure.finals_waiting, pressure.partials_waiting), (2, 2, 1, 0));
    drop((jobs, waiting));
    until(|| pool.pressure().running == 0).await;
    assert_eq!(pool.predicted_wait(), Duration::ZERO);
}
