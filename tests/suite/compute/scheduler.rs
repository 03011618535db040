//! The order of work: tables for each rule, and properties over random pushes, pops and ends.

use std::collections::HashSet;

use floe::compute::scheduler::{Class, JobId, Key, Limits, Scheduler};
use proptest::prelude::*;

const LIMITS: Limits = Limits { workers: 1, finals: 3, partials: 2 };

fn scheduler(workers: usize) -> Scheduler<&'static str> {
    Scheduler::new(Limits { workers, finals: 8, partials: 8 })
}

/// Pops and ends everything, one after the other.
fn order(scheduler: &mut Scheduler<&'static str>, now_us: u64) -> Vec<&'static str> {
    let mut order = Vec::new();
    while let Some(started) = scheduler.pop(now_us) {
        order.push(started.job);
        scheduler.done(started.id, now_us, true);
    }
    order
}

#[test]
fn classes_go_before_deadlines_and_deadlines_before_age() {
    let mut it = scheduler(1);
    for (key, class, deadline_us, job) in [
        (1, Class::Partial, 1, "partial"),
        (2, Class::SpeculativeFinal, 50, "speculative"),
        (3, Class::Final, 900, "late"),
        (4, Class::Final, 300, "early"),
        (5, Class::Final, 300, "early, younger"),
    ] {
        it.push(Key(key), class, deadline_us, job).unwrap();
    }
    assert_eq!(order(&mut it, 0), ["early", "early, younger", "late", "speculative", "partial"]);
}

#[test]
fn an_overdue_speculative_final_is_not_starved_by_finals() {
    let mut it = scheduler(1);
    it.push(Key(1), Class::SpeculativeFinal, 100, "speculative").unwrap();
    it.push(Key(2), Class::Final, 500, "final").unwrap();
    assert_eq!(it.pop(99).map(|it| it.job), Some("final"));
    let mut it = scheduler(1);
    it.push(Key(1), Class::SpeculativeFinal, 100, "speculative").unwrap();
    it.push(Key(2), Class::Final, 500, "final").unwrap();
    assert_eq!(it.pop(100).map(|it| it.job), Some("speculative"));
}

#[test]
fn a_newer_partial_replaces_the_older_one_and_keeps_its_place() {
    let mut it = scheduler(1);
    it.push(Key(1), Class::Partial, 100, "old").unwrap();
    it.push(Key(2), Class::Partial, 200, "other").unwrap();
    let pushed = it.push(Key(1), Class::Partial, 700, "new").unwrap();
    assert_eq!((pushed.dropped, pushed.abort), (vec!["old"], vec![]));
    assert_eq!(order(&mut it, 0), ["new", "other"]);
}

#[test]
fn a_final_cancels_the_partials_of_its_key_only() {
    let mut it = scheduler(2);
    it.push(Key(1), Class::Partial, 1, "running").unwrap();
    let running = it.pop(0).unwrap().id;
    it.push(Key(1), Class::Partial, 1, "waiting").unwrap();
    it.push(Key(2), Class::Partial, 1, "other").unwrap();
    let pushed = it.push(Key(1), Class::Final, 1, "final").unwrap();
    assert_eq!((pushed.dropped, pushed.abort), (vec!["waiting"], vec![running]));
    assert_eq!(order(&mut it, 0), ["final", "other"]);
}

#[test]
fn a_final_takes_the_worker_of_the_youngest_partial_if_none_is_free() {
    let mut it = scheduler(2);
    it.push(Key(1), Class::Partial, 1, "older").unwrap();
    it.push(Key(2), Class::Partial, 1, "younger").unwrap();
    it.pop(0).unwrap();
    let younger = it.pop(10).unwrap().id;
    assert_eq!(it.push(Key(3), Class::Final, 1, "final").unwrap().abort, [younger]);
    // With a free worker nobody has to leave.
    let mut it = scheduler(2);
    it.push(Key(1), Class::Partial, 1, "partial").unwrap();
    it.pop(0).unwrap();
    assert_eq!(it.push(Key(3), Class::Final, 1, "final").unwrap().abort, []);
}

#[test]
fn a_full_queue_refuses_and_hands_the_job_back() {
    let mut it = Scheduler::new(LIMITS);
    for key in 0..3 {
        it.push(Key(key), Class::Final, 0, "final").unwrap();
    }
    assert_eq!(it.push(Key(9), Class::Final, 0, "refused").unwrap_err(), "refused");
    assert_eq!(it.push(Key(9), Class::SpeculativeFinal, 0, "refused").unwrap_err(), "refused");
    it.push(Key(10), Class::Partial, 0, "partial").unwrap();
    it.push(Key(11), Class::Partial, 0, "partial").unwrap();
    assert_eq!(it.push(Key(12), Class::Partial, 0, "refused").unwrap_err(), "refused");
    assert_eq!(it.push(Key(11), Class::Partial, 0, "replaces").unwrap().dropped, ["partial"]);
}

#[test]
fn the_predicted_wait_deals_the_known_work_out_to_the_workers() {
    let mut it = scheduler(2);
    assert_eq!(it.predicted_wait_us(0), 0, "nothing is known yet");
    it.learn(Class::Final, 1000);
    it.learn(Class::Partial, 400);
    assert_eq!(it.predicted_wait_us(0), 0, "all workers are free");
    it.push(Key(1), Class::Final, 9, "a").unwrap();
    it.push(Key(2), Class::Final, 9, "b").unwrap();
    it.push(Key(3), Class::Final, 9, "c").unwrap();
    it.pop(0).unwrap();
    it.pop(0).unwrap();
    // Two run and have 700 left each; the waiting one takes a worker until 1700.
    assert_eq!(it.predicted_wait_us(300), 700);
    it.push(Key(4), Class::Final, 9, "d").unwrap();
    assert_eq!(it.predicted_wait_us(300), 1700);
    it.push(Key(5), Class::Partial, 9, "not in the way").unwrap();
    assert_eq!(it.predicted_wait_us(300), 1700);
    assert_eq!(it.predicted_wait_us(5000), 1000, "an overrun counts as about to end");
}

#[test]
fn averages_follow_what_completes_and_ignore_what_is_aborted() {
    let mut it = scheduler(1);
    it.learn(Class::Final, 800);
    it.push(Key(1), Class::Final, 0, "aborted").unwrap();
    let id = it.pop(0).unwrap().id;
    it.done(id, 5, false);
    it.push(Key(1), Class::Final, 0, "runs").unwrap();
    it.pop(10).unwrap();
    assert_eq!(it.predicted_wait_us(10), 800);
    it.learn(Class::Final, 1600);
    assert_eq!(it.predicted_wait_us(10), 900);
}

#[derive(Debug, Clone)]
enum Step {
    Push(u64, Class, u64),
    Pop,
    Done(usize),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop_oneof![Just(Class::Final), Just(Class::SpeculativeFinal), Just(Class::Partial)];
    prop_oneof![
        4 => (0..5u64, class, 0..50u64).prop_map(|(key, class, deadline)| Step::Push(key, class, deadline)),
        2 => Just(Step::Pop),
        2 => any::<usize>().prop_map(Step::Done),
        1 => any::<usize>().prop_map(Step::Remove),
    ]
}

/// What the scheduler should hold: a list of (id, number, key, class).
#[derive(Default)]
struct Model {
    waiting: Vec<(JobId, usize, u64, Class)>,
    running: Vec<JobId>,
    left: HashSet<usize>,
}

impl Model {
    fn leaves(&mut self, number: usize) {
        self.waiting.retain(|it| it.1 != number);
        assert!(self.left.insert(number), "job {number} left twice");
    }

    fn count(&self, partial: bool) -> usize {
        self.waiting.iter().filter(|it| (it.3 == Class::Partial) == partial).count()
    }

    fn push(&mut self, it: &mut Scheduler<usize>, (key, class, deadline): (u64, Class, u64), number: usize) {
        let renews = self.waiting.iter().any(|it| it.2 == key && it.3 == Class::Partial);
        let full = match class {
            Class::Partial => self.count(true) >= LIMITS.partials && !renews,
            _ => self.count(false) >= LIMITS.finals,
        };
        match it.push(Key(key), class, deadline, number) {
            Ok(pushed) => {
                assert!(!full);
                assert!(pushed.abort.iter().all(|id| self.running.contains(id)));
                for dropped in pushed.dropped {
                    self.leaves(dropped);
                }
                self.waiting.push((pushed.id, number, key, class));
            }
            Err(back) => {
                assert!(full);
                self.leaves(back);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_job_is_lost_doubled_or_overtaken_by_a_lower_class(steps in prop::collection::vec(step(), 1..120)) {
        let mut it = Scheduler::new(LIMITS);
        let mut model = Model::default();
        let mut pushed = 0;
        for (now, step) in steps.into_iter().enumerate() {
            let now = now as u64;
            match step {
                Step::Push(key, class, deadline) => {
                    model.push(&mut it, (key, class, deadline), pushed);
                    pushed += 1;
                }
                Step::Pop => match it.pop(now) {
                    Some(started) => {
                        if started.class == Class::Partial {
                            prop_assert_eq!(model.count(false), 0, "a final was left behind");
                        }
                        model.running.push(started.id);
                        model.leaves(started.job);
                    }
                    None => prop_assert!(model.waiting.is_empty() || model.running.len() == LIMITS.workers),
                },
                Step::Done(at) if !model.running.is_empty() => {
                    let id = model.running.swap_remove(at % model.running.len());
                    it.done(id, now, true);
                }
                Step::Remove(at) if !model.waiting.is_empty() => {
                    let (id, number, ..) = model.waiting[at % model.waiting.len()];
                    prop_assert_eq!(it.remove(id), Some(number));
                    model.leaves(number);
                }
                Step::Done(_) | Step::Remove(_) => {}
            }
            prop_assert_eq!(it.waiting(Class::Partial), model.count(true));
            prop_assert_eq!(it.running(), model.running.len());
            let keys: HashSet<u64> = model.waiting.iter().filter(|it| it.3 == Class::Partial).map(|it| it.2).collect();
            prop_assert_eq!(keys.len(), model.count(true), "two partials of one key wait");
        }
        for job in it.drain() {
            model.leaves(job);
        }
        prop_assert_eq!(model.left.len(), pushed);
    }
}
