//! A seeded executor: one task runs at a time, chance decides which, and time is a number.
//!
//! A task that waits for simulated time gives up its turn. A task that waits for anything else (the database, which
//! answers from threads of its own) keeps it: nothing else runs until it has been woken, so the order of events
//! depends on the seed alone. Three rules keep it so: a task of the simulation waits for [`SimClock`], a simulated
//! node, or the database, and nothing else; nobody uses tokio's time; nothing visible hangs on the order of a
//! `HashMap`.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::future::BoxFuture;
use mogul_tracker::{clock::Clock, model::Timestamp, rng::Entropy};

/// How long the real database may take to answer one task before the simulation is called stuck.
const DATABASE_PATIENCE: Duration = Duration::from_mins(1);

/// The simulated time at which every run begins: an arbitrary whole day.
const EPOCH_MILLIS: i64 = 1_700_000_000_000;

thread_local! {
    /// The timers that the task which is being polled waits for.
    static CURRENT: RefCell<Option<Arc<AtomicUsize>>> = const { RefCell::new(None) };
}

/// The number of a task of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// Simulated time and chance, shared by all tasks of a run.
#[derive(Clone)]
pub struct SimClock(Arc<Mutex<State>>);

struct State {
    now: Timestamp,
    random: u64,
    timers: BTreeMap<(Timestamp, u64), Waker>,
    timers_made: u64,
}

impl SimClock {
    /// A clock whose chance is decided by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> SimClock {
        let now = Timestamp::from_millis(EPOCH_MILLIS);
        let state = State {
            now,
            random: seed,
            timers: BTreeMap::new(),
            timers_made: 0,
        };
        SimClock(Arc::new(Mutex::new(state)))
    }

    /// A number below `bound`, which must not be 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves time to the earliest timer and wakes it; `false` if there is none.
    fn advance(&self) -> bool {
        let mut state = self.state();
        let Some(((at, _), waker)) = state.timers.pop_first() else {
            return false;
        };
        state.now = state.now.max(at);
        drop(state);
        waker.wake();
        true
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state();
        state.timers_made += 1;
        let key = (state.now.after(duration), state.timers_made);
        drop(state);
        Box::pin(Sleep {
            clock: self.clone(),
            key,
            waiting: None,
        })
    }
}

impl Entropy for SimClock {
    /// `SplitMix64`: small, seedable, and good enough to choose with.
    fn next_u64(&self) -> u64 {
        let mut state = self.state();
        state.random = state.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

struct Sleep {
    clock: SimClock,
    key: (Timestamp, u64),
    waiting: Option<Waiting>,
}

/// One timer that a task waits for. Tasks are polled and dropped by one thread, so nobody else touches the count.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn begin() -> Option<Waiting> {
        CURRENT.with_borrow(|current| {
            current.as_ref().map(|timers| {
                timers.fetch_add(1, Ordering::Relaxed);
                Waiting(Arc::clone(timers))
            })
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        if state.now >= self.key.0 {
            state.timers.remove(&self.key);
            self.waiting = None;
            return Poll::Ready(());
        }
        state.timers.insert(self.key, context.waker().clone());
        if self.waiting.is_none() {
            self.waiting = Waiting::begin();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.state().timers.remove(&self.key);
    }
}

/// Wakes a task, from this thread or from one of the database's.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn take(&self) -> bool {
        std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wait(&self, name: &str) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, timeout) = self
            .changed
            .wait_timeout_while(rung, DATABASE_PATIENCE, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "{name} waits for something that is neither time nor the database"
        );
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

struct Task {
    name: &'static str,
    future: Pin<Box<dyn Future<Output = ()>>>,
    bell: Arc<Bell>,
    /// How many timers it waits for.
    timers: Arc<AtomicUsize>,
}

/// The tasks of one run.
pub struct Executor {
    clock: SimClock,
    tasks: BTreeMap<TaskId, Task>,
    spawned: u64,
    trace: Vec<(Timestamp, &'static str)>,
}

impl Executor {
    /// An executor without tasks.
    #[must_use]
    pub fn new(clock: SimClock) -> Executor {
        Executor {
            clock,
            tasks: BTreeMap::new(),
            spawned: 0,
            trace: Vec::new(),
        }
    }

    /// Adds a task, ready to run.
    pub fn spawn(&mut self, name: &'static str, future: impl Future<Output = ()> + 'static) -> TaskId {
        self.spawned += 1;
        let id = TaskId(self.spawned);
        let bell = Arc::new(Bell {
            rung: Mutex::new(true),
            changed: Condvar::new(),
        });
        let task = Task {
            name,
            future: Box::pin(future),
            bell,
            timers: Arc::default(),
        };
        self.tasks.insert(id, task);
        id
    }

    /// Drops a task where it stands, as a crash of its process would.
    pub fn kill(&mut self, id: TaskId) {
        self.tasks.remove(&id);
    }

    /// Whether a task is still there.
    #[must_use]
    pub fn has(&self, id: TaskId) -> bool {
        self.tasks.contains_key(&id)
    }

    /// Runs one turn: a ready task chosen by chance, or, if none is ready, the next moment of time. `false` if nothing can
    /// ever happen again.
    pub fn turn(&mut self) -> bool {
        let ready: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.bell.take())
            .map(|(id, _)| *id)
            .collect();
        let Ok(count) = u64::try_from(ready.len()) else {
            return false;
        };
        if count == 0 {
            return self.clock.advance();
        }
        let chosen = usize::try_from(self.clock.below(count)).unwrap_or(0);
        for (position, id) in ready.iter().enumerate() {
            if position != chosen {
                Arc::clone(&self.tasks[id].bell).wake();
            }
        }
        self.run(ready[chosen]);
        true
    }

    /// Runs until `done` says so or nothing can happen any more.
    pub fn run_until(&mut self, mut done: impl FnMut(&Executor) -> bool) {
        while !done(self) && self.turn() {}
    }

    /// Every turn so far: when, and whose.
    #[must_use]
    pub fn trace(&self) -> &[(Timestamp, &'static str)] {
        &self.trace
    }

    /// Polls a task until it is done or waits for time.
    fn run(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        self.trace.push((self.clock.now(), task.name));
        let waker = Waker::from(Arc::clone(&task.bell));
        let mut context = Context::from_waker(&waker);
        loop {
            CURRENT.set(Some(Arc::clone(&task.timers)));
            let polled = task.future.as_mut().poll(&mut context);
            CURRENT.set(None);
            if polled.is_ready() {
                self.tasks.remove(&id);
                return;
            }
            if task.timers.load(Ordering::Relaxed) > 0 {
                return;
            }
            task.bell.wait(task.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    fn order_of(seed: u64) -> Vec<u32> {
        let clock = SimClock::new(seed);
        let mut executor = Executor::new(clock.clone());
        let order = Rc::new(RefCell::new(Vec::new()));
        for number in 0..20 {
            let (clock, order) = (clock.clone(), Rc::clone(&order));
            executor.spawn("count", async move {
                clock.sleep(Duration::from_millis(clock.below(5))).await;
                order.borrow_mut().push(number);
            });
        }
        executor.run_until(|_| false);
        order.take()
    }

    #[test]
    fn the_same_seed_gives_the_same_order_and_another_seed_another() {
        assert_eq!(order_of(1), order_of(1));
        assert_ne!(order_of(1), order_of(2));
        assert_eq!(order_of(3).len(), 20);
    }

    #[test]
    fn a_task_that_waits_for_another_thread_keeps_its_turn() {
        let clock = SimClock::new(7);
        let mut executor = Executor::new(clock.clone());
        let order = Rc::new(RefCell::new(Vec::new()));
        for name in ["first", "second"] {
            let order = Rc::clone(&order);
            executor.spawn(name, async move {
                order.borrow_mut().push(name);
                let (sender, receiver) = tokio::sync::oneshot::channel();
                std::thread::spawn(move || sender.send(()));
                receiver.await.expect("the thread sends");
                order.borrow_mut().push(name);
            });
        }

        executor.run_until(|_| false);

        let order = order.take();
        assert_eq!(order[0], order[1]);
        assert_eq!(order[2], order[3]);
    }
}
