//! The loop around every job: it owns all waiting.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Job, JobBoard, JobName, Next, Pace, Wakes};
use crate::{Error, Tracker, clock::Clock, error::chain, model::Timestamp, view::ViewCell};

/// The wait after the first failed step; it doubles with each that follows.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait after failed steps.
const BACK_OFF_MAX: Duration = Duration::from_mins(1);

/// Runs jobs: again on [`Next::Again`]; after a wake or a period on [`Next::Idle`]; after a growing wait when a step
/// failed. Between steps it yields to clients ([`crate::pace`]), pauses while an operator wants that, and stops.
pub struct Driver {
    clock: Arc<dyn Clock>,
    wakes: Wakes,
    tasks: TaskTracker,
    stop: CancellationToken,
    board: JobBoard,
    views: Arc<ViewCell>,
    crews: Mutex<BTreeMap<JobName, Crew>>,
}

/// The workers of one job.
struct Crew {
    /// What ends each of them, after its step.
    stops: Vec<CancellationToken>,
    /// Starts one more.
    hire: Box<dyn Fn(CancellationToken) + Send>,
}

impl Driver {
    /// A driver of a tracker's jobs, without any yet.
    #[must_use]
    pub fn new(tracker: &Tracker) -> Driver {
        let (wakes, board) = (tracker.wakes().clone(), tracker.jobs().clone());
        Driver::of(tracker.shared_clock(), wakes, board, tracker.views())
    }

    /// A driver without jobs, woken by `wakes`; it tells `board` how they are doing, and they yield as `views` have it.
    fn of(clock: Arc<dyn Clock>, wakes: Wakes, board: JobBoard, views: Arc<ViewCell>) -> Driver {
        Driver {
            clock,
            wakes,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            board,
            views,
            crews: Mutex::default(),
        }
    }

    /// Starts `workers` copies of a job that look for work at least once a `period`.
    pub fn spawn<J: Job + Clone>(&self, job: &J, workers: usize, period: Duration) {
        let (job, tasks) = (job.clone(), self.tasks.clone());
        let (clock, wakes, board) = (Arc::clone(&self.clock), self.wakes.clone(), self.board.clone());
        let views = Arc::clone(&self.views);
        let hire = move |stop| {
            let worker = Worker {
                job: job.clone(),
                period,
                clock: Arc::clone(&clock),
                wakes: wakes.clone(),
                board: board.clone(),
                views: Arc::clone(&views),
            };
            tasks.spawn(worker.run(stop));
        };
        let crew = Crew {
            stops: Vec::new(),
            hire: Box::new(hire),
        };
        self.crews().insert(J::NAME, crew);
        self.want(J::NAME, workers);
    }

    /// Changes how many workers a job has; those that are too many end after their step. Answers how many it had, `None`
    /// if this driver does not run the job.
    pub fn want(&self, job: JobName, workers: usize) -> Option<usize> {
        let mut crews = self.crews();
        let crew = crews.get_mut(&job)?;
        let before = crew.stops.len();
        for stop in crew.stops.drain(workers.min(before)..) {
            stop.cancel();
        }
        for _ in before..workers {
            let stop = self.stop.child_token();
            (crew.hire)(stop.clone());
            crew.stops.push(stop);
        }
        self.board.staffed(job, workers);
        Some(before)
    }

    fn crews(&self) -> MutexGuard<'_, BTreeMap<JobName, Crew>> {
        self.crews.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no new step begin, and waits until those that run have ended, at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.tasks.close();
        let ended = std::pin::pin!(self.tasks.wait());
        future::select(ended, self.clock.sleep(patience)).await;
    }
}

/// One copy of a job.
struct Worker<J> {
    job: J,
    period: Duration,
    clock: Arc<dyn Clock>,
    wakes: Wakes,
    board: JobBoard,
    views: Arc<ViewCell>,
}

impl<J: Job> Worker<J> {
    async fn run(mut self, stop: CancellationToken) {
        let mut failed_in_a_row = 0;
        while !stop.is_cancelled() {
            if self.views.load().is_paused(J::NAME) {
                self.wait(&stop).await;
                continue;
            }
            let began = self.clock.now();
            self.board.begun(J::NAME);
            let outcome = self.step().await;
            self.board.record(J::NAME, self.clock.now(), &outcome);
            self.rest(began, &stop).await;
            match outcome {
                Ok(Next::Again) => {
                    failed_in_a_row = 0;
                    // More than one step of work: more than one worker.
                    self.wakes.wake(J::NAME);
                }
                Ok(Next::Idle) => {
                    failed_in_a_row = 0;
                    self.wait(&stop).await;
                }
                Err(error) => {
                    tracing::warn!(job = J::NAME.as_str(), error = %chain(&error), "a step failed");
                    let wait = BACK_OFF_MIN
                        .saturating_mul(1 << failed_in_a_row)
                        .min(BACK_OFF_MAX);
                    failed_in_a_row = (failed_in_a_row + 1).min(BACK_OFF_DOUBLINGS_MAX);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.clock.sleep(wait) => {}
                    }
                }
            }
        }
    }

    /// Waits for a wake or the period.
    async fn wait(&mut self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.wakes.woken(J::NAME) => {}
            () = self.clock.sleep(self.period) => {}
        }
    }

    /// Yields to clients after a step that began then, as the job wants it.
    async fn rest(&mut self, began: Timestamp, stop: &CancellationToken) {
        let rest = match self.job.pace() {
            Pace::AfterStep => self.views.load().rest(began.until(self.clock.now())),
            Pace::Within | Pace::Urgent => Duration::ZERO,
        };
        if !rest.is_zero() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep(rest) => {}
            }
        }
    }

    /// One step. A panic ends the step, not the process.
    async fn step(&mut self) -> Result<Next, Error> {
        let step = AssertUnwindSafe(self.job.step()).catch_unwind();
        step.await.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Error::Internal(format!(
                "a step panicked: {}",
                text.unwrap_or("?")
            )))
        })
    }
}

/// Doublings after which [`BACK_OFF_MAX`] is reached for sure.
const BACK_OFF_DOUBLINGS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use mogul_storage::DevId;
    use tokio::sync::watch;

    use super::*;
    use crate::{
        model::{Device, DeviceStatus, HostId},
        pace::ClientTime,
        view::{ClusterView, Observation, Tables},
    };

    /// Time that passes when the test says so.
    #[derive(Clone)]
    struct HandClock(watch::Sender<i64>);

    impl HandClock {
        fn new() -> HandClock {
            HandClock(watch::Sender::new(0))
        }

        fn advance(&self, by: Duration) {
            let millis = i64::try_from(by.as_millis()).unwrap();
            self.0.send_modify(|now| *now += millis);
        }
    }

    impl Clock for HandClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(*self.0.borrow())
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            let (until, mut time) = (self.now().after(duration).millis(), self.0.subscribe());
            Box::pin(async move {
                let _ = time.wait_for(|now| *now >= until).await;
            })
        }
    }

    /// Does what it is told, and counts.
    #[derive(Clone)]
    struct Told {
        begun: watch::Sender<u64>,
        answer: fn(u64) -> Result<Next, Error>,
    }

    impl Job for Told {
        const NAME: JobName = JobName::Delete;

        async fn step(&mut self) -> Result<Next, Error> {
            self.begun.send_modify(|count| *count += 1);
            let count = *self.begun.borrow();
            (self.answer)(count)
        }
    }

    struct Case {
        driver: Driver,
        board: JobBoard,
        clock: HandClock,
        wakes: Wakes,
        begun: watch::Receiver<u64>,
    }

    fn case(answer: fn(u64) -> Result<Next, Error>) -> Case {
        let (clock, wakes) = (HandClock::new(), Wakes::default());
        let board = JobBoard::default();
        let views = Arc::new(ViewCell::default());
        let driver = Driver::of(Arc::new(clock.clone()), wakes.clone(), board.clone(), views);
        let begun = watch::Sender::new(0);
        let receiver = begun.subscribe();
        driver.spawn(&Told { begun, answer }, 1, Duration::from_secs(100));
        Case {
            driver,
            board,
            clock,
            wakes,
            begun: receiver,
        }
    }

    impl Case {
        async fn steps(&mut self, count: u64) {
            self.begun.wait_for(|begun| *begun >= count).await.unwrap();
        }

        async fn no_step_beyond(&self, count: u64) {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(*self.begun.borrow(), count);
        }
    }

    /// A hundred steps of a tenth of a second, one after the other if nothing keeps them.
    #[derive(Clone)]
    struct Busy {
        clock: HandClock,
        begun: watch::Sender<u64>,
        pace: Pace,
    }

    impl Job for Busy {
        const NAME: JobName = JobName::Fsck;

        async fn step(&mut self) -> Result<Next, Error> {
            self.begun.send_modify(|count| *count += 1);
            if *self.begun.borrow() > 100 {
                return Ok(Next::Idle);
            }
            self.clock.advance(Duration::from_millis(100));
            Ok(Next::Again)
        }

        fn pace(&self) -> Pace {
            self.pace
        }
    }

    /// A device that clients keep busy all the time, under a tranquillity.
    fn busy_view(clock: &HandClock, tranquillity: &str) -> ClusterView {
        let (host, id) = (HostId(1), DevId::new(1).unwrap());
        let device = Device {
            id,
            host,
            status: DeviceStatus::Alive,
            weight: 100,
            mb_total: None,
            mb_used: None,
            mb_asof: None,
            mark: None,
        };
        let tables = Tables {
            devices: vec![device],
            settings: BTreeMap::from([("tranquillity".to_owned(), tranquillity.to_owned())]),
            ..Tables::default()
        };
        let told = |seconds| Observation {
            clients: Some(ClientTime {
                spent: Duration::from_secs(seconds),
                at: clock.now().after(Duration::from_secs(seconds)),
            }),
            ..Observation::default()
        };
        let view = ClusterView::default().with_tables(tables);
        view.with_observation(id, told(0)).with_observation(id, told(1))
    }

    /// How long ten seconds of work take a job of this pace.
    async fn steps_of(pace: Pace, tranquillity: &str) -> Duration {
        let clock = HandClock::new();
        let view = busy_view(&clock, tranquillity);
        let views = Arc::new(ViewCell::default());
        views.update(|_| view.clone());
        let shared = Arc::new(clock.clone());
        let driver = Driver::of(shared, Wakes::default(), JobBoard::default(), views);
        let begun = watch::Sender::new(0);
        let job = Busy {
            clock: clock.clone(),
            begun: begun.clone(),
            pace,
        };
        driver.spawn(&job, 1, Duration::from_secs(100));
        while *begun.borrow() <= 100 {
            let before = *begun.borrow();
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            if *begun.borrow() == before {
                clock.advance(Duration::from_millis(10));
            }
        }
        Timestamp::default().until(clock.now())
    }

    #[tokio::test]
    async fn a_job_rests_while_clients_keep_the_devices_busy_unless_it_is_urgent() {
        assert_eq!(steps_of(Pace::AfterStep, "2").await.as_secs(), 30);
        assert_eq!(steps_of(Pace::AfterStep, "9").await.as_secs(), 100);
        assert_eq!(steps_of(Pace::AfterStep, "0").await.as_secs(), 10);
        assert_eq!(steps_of(Pace::Urgent, "9").await.as_secs(), 10);
    }

    #[tokio::test]
    async fn a_job_runs_again_while_there_is_work_then_waits_for_its_period() {
        let mut case = case(|count| Ok(if count < 3 { Next::Again } else { Next::Idle }));

        // The wake for a second worker is taken by the only one: one step more.
        case.steps(4).await;
        case.no_step_beyond(4).await;
        case.clock.advance(Duration::from_secs(100));
        case.steps(5).await;
    }

    #[tokio::test]
    async fn a_wake_ends_the_wait_and_is_not_lost_while_a_step_runs() {
        let mut case = case(|_| Ok(Next::Idle));
        case.steps(1).await;

        case.wakes.wake(JobName::Delete);
        case.steps(2).await;

        case.no_step_beyond(2).await;
    }

    #[tokio::test]
    async fn a_failed_step_is_tried_again_after_a_wait_that_no_wake_cuts_short() {
        let mut case = case(|count| match count {
            1 | 2 => Err(Error::Busy),
            _ => Ok(Next::Idle),
        });
        case.steps(1).await;

        case.wakes.wake(JobName::Delete);
        case.no_step_beyond(1).await;
        case.clock.advance(BACK_OFF_MIN);
        case.steps(2).await;
        case.no_step_beyond(2).await;
        case.clock.advance(BACK_OFF_MIN);
        case.no_step_beyond(2).await;
        case.clock.advance(BACK_OFF_MIN);
        case.steps(3).await;

        assert_eq!(case.board.status(case.clock.now())[&JobName::Delete].failures, 2);
    }

    #[tokio::test]
    async fn a_step_that_panics_counts_as_failed() {
        let mut case = case(|count| if count == 1 { panic!("oh") } else { Ok(Next::Idle) });
        case.steps(1).await;
        while !case.board.status(case.clock.now()).contains_key(&JobName::Delete) {
            tokio::task::yield_now().await;
        }

        case.clock.advance(BACK_OFF_MIN);
        case.steps(2).await;

        let status = case.board.status(case.clock.now())[&JobName::Delete].clone();
        assert!(status.last_failure.unwrap().contains("oh"));
    }

    #[tokio::test]
    async fn stopping_ends_the_waits() {
        let mut case = case(|_| Ok(Next::Idle));
        case.steps(1).await;

        case.driver.stop(Duration::from_secs(1)).await;
        case.wakes.wake(JobName::Delete);

        case.no_step_beyond(1).await;
        assert_eq!(case.clock.now(), Timestamp::default(), "it did not wait in vain");
    }

    #[tokio::test]
    async fn a_job_gets_as_many_workers_as_are_wanted() {
        let mut case = case(|_| Ok(Next::Idle));
        case.steps(1).await;

        assert_eq!(case.driver.want(JobName::Delete, 3), Some(1));
        case.steps(3).await;
        assert_eq!(case.driver.board.workers(JobName::Delete), Some(3));
        assert_eq!(case.driver.want(JobName::Delete, 0), Some(3));
        case.no_step_beyond(3).await;
        case.wakes.wake(JobName::Delete);
        case.no_step_beyond(3).await;
        assert_eq!(case.driver.want(JobName::Monitor, 1), None);
    }
}
