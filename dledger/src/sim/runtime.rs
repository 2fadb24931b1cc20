//! tokio as a member sees it that can be paused and killed, with chance from a seed.
//!
//! Whatever a member spawns belongs to it: openraft's tasks, its own, and those that answer its clients. A task that does is
//! polled only while the member lives and is not paused.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use openraft::OptionalSend;
use openraft_rt::AsyncRuntime;
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::{TokioInstant, TokioMpsc, TokioMutex, TokioOneshot, TokioRuntime};
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinHandle};

use super::watch::Watched;
use super::world::World;

type Seeded = DeterministicRng<TokioRuntime>;

thread_local! {
    /// Where openraft's chance stands, while a simulation runs on this thread.
    static CHANCE: Cell<Option<u64>> = const { Cell::new(None) };
    /// Whose task is polled.
    static MEMBER: RefCell<Option<Arc<Life>>> = const { RefCell::new(None) };
}

/// Has openraft's chance come from `seed` on this thread; `None`: from the machine.
pub(super) fn seed(seed: Option<u64>) {
    CHANCE.set(seed);
}

/// Whether a simulation runs on this thread.
pub(crate) fn is_running() -> bool {
    CHANCE.get().is_some()
}

/// A task of the member whose task calls this; anybody's if there is none.
pub(crate) fn with_member<F: Future>(task: F) -> Held<F> {
    Held { life: MEMBER.with_borrow(Clone::clone), task: Some(Box::pin(task)) }
}

/// Notes that a task ends with the member whose task calls this.
pub(crate) fn belongs_to_member(task: &AbortHandle) {
    if let Some(life) = MEMBER.with_borrow(Clone::clone) {
        life.note(task.clone());
    }
}

/// A member between its start and its end.
pub(super) struct Life {
    pub(super) member: u64,
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_paused: bool,
    is_dead: bool,
    /// Tasks that wait for the end of the pause.
    waiting: Vec<Waker>,
    tasks: Vec<AbortHandle>,
    /// So many are looked through for those that have ended.
    many: usize,
}

impl Life {
    pub(super) fn new(member: u64, world: &Arc<World>) -> Arc<Self> {
        let state = Mutex::new(State { many: 64, ..State::default() });
        Arc::new(Self { member, world: Arc::clone(world), state })
    }

    /// A future as a part of this life.
    pub(super) fn hold<F: Future>(self: &Arc<Self>, task: F) -> Held<F> {
        Held { life: Some(Arc::clone(self)), task: Some(Box::pin(task)) }
    }

    pub(super) fn spawn<F>(self: &Arc<Self>, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let spawned = tokio::spawn(self.hold(task));
        self.note(spawned.abort_handle());
        spawned
    }

    fn note(&self, task: AbortHandle) {
        let mut state = self.state.lock();
        if state.tasks.len() >= state.many {
            state.tasks.retain(|task| !task.is_finished());
            state.many = 2 * state.tasks.len().max(32);
        }
        state.tasks.push(task);
    }

    pub(super) fn pause(&self) {
        self.state.lock().is_paused = true;
    }

    pub(super) fn resume(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.is_paused = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state.lock().is_dead
    }

    /// No task of this life does anything any more.
    pub(super) fn kill(&self) {
        let tasks = {
            let mut state = self.state.lock();
            state.is_dead = true;
            std::mem::take(&mut state.tasks)
        };
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// Whether a task may be polled; if not, it is when that has changed.
    fn may_run(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if state.is_paused && !state.is_dead {
            state.waiting.push(waker.clone());
        }
        !state.is_dead && !state.is_paused
    }
}

/// A task that may belong to a member.
pub(crate) struct Held<F> {
    life: Option<Arc<Life>>,
    task: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Held<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { life, task } = &mut *self;
        let Some(running) = task else { return Poll::Pending };
        let Some(life) = life else { return running.as_mut().poll(context) };
        if !life.may_run(context.waker()) {
            if life.is_dead() {
                *task = None;
            }
            return Poll::Pending;
        }
        let before = MEMBER.replace(Some(Arc::clone(life)));
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context)));
        MEMBER.set(before);
        polled.unwrap_or_else(|panic| {
            let why = panic.downcast_ref::<String>().map(String::as_str);
            let why = why.or(panic.downcast_ref::<&str>().copied()).unwrap_or("for no reason that is text");
            life.world.wrong(format!("a task of member {} panicked: {why}", life.member));
            resume_unwind(panic)
        })
    }
}

/// What openraft runs on in tests.
pub struct Runtime(TokioRuntime);

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.0).finish()
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = TokioInstant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = <Seeded as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = TokioMpsc;
    type Watch = Watched;
    type Oneshot = TokioOneshot;
    type Mutex<T: OptionalSend + 'static> = TokioMutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        match MEMBER.with_borrow(Clone::clone) {
            Some(life) => life.spawn(future),
            None => tokio::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: TokioInstant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: TokioInstant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(error: &tokio::task::JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        let seed = match CHANCE.get() {
            Some(seed) => {
                CHANCE.set(Some(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)));
                seed
            }
            None => fastrand::u64(..),
        };
        // It only takes the seed, and waits for nothing.
        Seeded::scope(seed, async { Seeded::thread_rng() }).now_or_never().expect("ready at once")
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        crate::runtime::blocking(work)
    }
}
