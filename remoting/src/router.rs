//! Typed dispatch: a request code finds its handler; a missing one answers `REQUEST_CODE_NOT_SUPPORTED` and is counted.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::WaitForCancellationFuture;
use tokio_util::task::TaskTracker;

use crate::connection::{Body, Peer, ReplyTo};
use crate::frame::{ExtFields, RemotingCommand};
use crate::header::{EncodeHeader, FieldSink, NoHeader, Request};
use crate::language::LanguageCode;
use crate::protocol::{RequestCode, ResponseCode};
use crate::version::Version;

/// A request as its handler gets it.
#[derive(Debug)]
pub struct Call<R> {
    pub header: R,
    pub body: Bytes,
    pub peer: Peer,
    /// What the caller says it is.
    pub version: Version,
    pub language: LanguageCode,
    /// All ext fields, for the few that belong to no typed header.
    pub ext: ExtFields,
}

impl<R> Call<R> {
    /// Completes when nobody waits for the answer any more. Cancel-safe.
    pub fn closed(&self) -> WaitForCancellationFuture<'_> {
        self.peer.closed()
    }
}

/// The answer of a handler: a code (success unless said otherwise), a header, a body.
#[derive(Debug)]
pub struct Reply<H> {
    code: ResponseCode,
    remark: Option<Cow<'static, str>>,
    header: Option<H>,
    extra: Vec<(&'static str, String)>,
    body: Body,
    silent: bool,
}

impl<H> Reply<H> {
    pub fn new(header: H) -> Self {
        Self { header: Some(header), ..Self::bare(ResponseCode::SUCCESS) }
    }

    /// An answer without a header: a degraded outcome that is not an error, such as `QUERY_NOT_FOUND`.
    pub fn bare(code: ResponseCode) -> Self {
        Self { code, remark: None, header: None, extra: Vec::new(), body: Body::default(), silent: false }
    }

    /// No answer at all, also to a caller that waits: for the few requests where Java gives none.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::bare(ResponseCode::SUCCESS) }
    }

    pub fn code(mut self, code: ResponseCode) -> Self {
        self.code = code;
        self
    }

    pub fn remark(mut self, remark: impl Into<Cow<'static, str>>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// An ext field outside the typed header.
    pub fn ext(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((key, value.into()));
        self
    }

    /// For tests of handlers.
    pub fn response_code(&self) -> ResponseCode {
        self.code
    }

    /// For tests of handlers.
    pub fn response_remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// For tests of handlers.
    pub fn content(&self) -> Vec<u8> {
        self.body.to_vec()
    }

    /// For tests of handlers.
    pub fn header(&self) -> Option<&H> {
        self.header.as_ref()
    }
}

impl Reply<NoHeader> {
    pub fn done() -> Self {
        Self::new(NoHeader)
    }
}

impl<H> From<H> for Reply<H> {
    fn from(header: H) -> Self {
        Self::new(header)
    }
}

impl<H: EncodeHeader> EncodeHeader for Reply<H> {
    fn encode(&self, sink: &mut dyn FieldSink) {
        self.header.encode(sink);
        for (key, value) in &self.extra {
            sink.put(key, value);
        }
    }
}

/// A failure that has a response code; its `Display` is the remark.
pub trait IntoResponse: fmt::Display {
    fn code(&self) -> ResponseCode;
}

/// Of handlers that cannot fail.
impl IntoResponse for Infallible {
    fn code(&self) -> ResponseCode {
        match *self {}
    }
}

/// Answers one kind of request.
pub trait Handle<R: Request>: Send + Sync + 'static {
    type Error: IntoResponse;

    fn handle(&self, call: Call<R>) -> impl Future<Output = Result<Reply<R::Reply>, Self::Error>> + Send;
}

/// Answers requests of which a connection may have brought many at once: send, pull, offset commit.
///
/// Called on the connection's task, so it must not block. Every command is answered through [`Peer::replies`], now or later.
pub trait HandleBatch: Send + Sync + 'static {
    /// `commands` have codes that this handler was registered for, in the order they came; it takes them all.
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer);
}

/// The handlers of one listener.
#[derive(Default)]
pub struct Router {
    routes: HashMap<RequestCode, Route>,
    unsupported: Unsupported,
}

/// The router of a listener, which another may replace while connections are served. Cheap to clone; clones change together.
#[derive(Clone)]
pub struct Routes(Arc<ArcSwap<Router>>);

impl Routes {
    /// What is read from now on is answered by `router`; what is under way ends where it began.
    pub fn replace(&self, router: Arc<Router>) {
        self.0.store(router);
    }

    pub(crate) fn dispatch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer, tasks: &TaskTracker) {
        self.0.load().dispatch(commands, peer, tasks);
    }
}

impl From<Arc<Router>> for Routes {
    fn from(router: Arc<Router>) -> Self {
        Self(Arc::new(ArcSwap::new(router)))
    }
}

#[derive(Clone)]
struct Route {
    handler: Handler,
    calls: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Handler {
    One(Arc<dyn HandleOne>),
    Batch(Arc<dyn HandleBatch>),
}

impl Router {
    /// Routes `R` to a handler.
    ///
    /// # Panics
    /// If the code has a handler already: two routes are a mistake of the program.
    pub fn on<R: Request>(&mut self, handler: &Arc<impl Handle<R>>) -> &mut Self {
        self.on_codes::<R>(&[R::CODE], handler)
    }

    /// Routes several codes to one handler: a header that reads the names of each is the same request under any of them.
    ///
    /// # Panics
    /// If one of the codes has a handler already.
    pub fn on_codes<R: Request>(&mut self, codes: &[RequestCode], handler: &Arc<impl Handle<R>>) -> &mut Self {
        let typed = Typed { handler: Arc::clone(handler), request: std::marker::PhantomData::<fn(R)> };
        let typed: Arc<dyn HandleOne> = Arc::new(typed);
        for &code in codes {
            self.insert(code, Handler::One(Arc::clone(&typed)));
        }
        self
    }

    /// Routes codes to one handler of batches.
    ///
    /// # Panics
    /// If one of the codes has a handler already.
    pub fn on_batch<H: HandleBatch>(&mut self, codes: &[RequestCode], handler: &Arc<H>) -> &mut Self {
        for &code in codes {
            self.insert(code, Handler::Batch(Arc::clone(handler) as Arc<dyn HandleBatch>));
        }
        self
    }

    /// The same handlers but for some codes: the fast port does not pull.
    pub fn without(&self, codes: &[RequestCode]) -> Self {
        let routes = self.routes.iter().filter(|(code, _)| !codes.contains(code));
        Self { routes: routes.map(|(code, route)| (*code, route.clone())).collect(), ..Self::default() }
    }

    /// Has `handler` answer these codes, whoever did before.
    pub fn instead<H: HandleBatch>(&mut self, codes: &[RequestCode], handler: &Arc<H>) -> &mut Self {
        for code in codes {
            self.routes.remove(code);
        }
        self.on_batch(codes, handler)
    }

    /// Codes that have a handler, in order.
    pub fn codes(&self) -> Vec<RequestCode> {
        let mut codes: Vec<_> = self.routes.keys().copied().collect();
        codes.sort_unstable();
        codes
    }

    /// How often each code was called, and how often codes without a handler were.
    pub fn figures(&self) -> RouterFigures {
        let mut calls: Vec<_> =
            self.routes.iter().map(|(code, route)| (*code, route.calls.load(Ordering::Relaxed))).collect();
        calls.sort_unstable();
        RouterFigures { calls, unsupported: self.unsupported.figures() }
    }

    fn insert(&mut self, code: RequestCode, handler: Handler) -> &mut Self {
        let route = Route { handler, calls: Arc::default() };
        assert!(self.routes.insert(code, route).is_none(), "{code} has two handlers");
        self
    }

    /// Runs what one read brought, in order: neighbours with the same batch handler together, others one by one.
    pub(crate) fn dispatch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer, tasks: &TaskTracker) {
        let mut batch: Vec<RemotingCommand> = Vec::new();
        let mut batch_handler: Option<&Arc<dyn HandleBatch>> = None;
        for command in commands.drain(..) {
            if command.is_response() {
                peer.in_flight().complete(command);
                continue;
            }
            let route = self.routes.get(&command.request_code());
            if let Some(route) = route {
                route.calls.fetch_add(1, Ordering::Relaxed);
            }
            let handler = route.map(|route| &route.handler);
            match (handler, batch_handler) {
                (Some(Handler::Batch(handler)), Some(current)) if Arc::ptr_eq(handler, current) => {}
                (Some(Handler::Batch(handler)), current) => {
                    flush(current, &mut batch, peer);
                    batch_handler = Some(handler);
                }
                (_, current) => flush(current, &mut batch, peer),
            }
            match handler {
                Some(Handler::Batch(_)) => batch.push(command),
                Some(Handler::One(handler)) => start(handler.call(command, peer), peer, tasks),
                None => self.unsupported.answer(&command, peer),
            }
        }
        flush(batch_handler, &mut batch, peer);
    }
}

fn flush(handler: Option<&Arc<dyn HandleBatch>>, batch: &mut Vec<RemotingCommand>, peer: &Peer) {
    if let (Some(handler), false) = (handler, batch.is_empty()) {
        handler.handle_batch(batch, peer);
        batch.clear();
    }
}

/// Runs a handler to its first wait here; only one that waits becomes a task.
fn start(mut answer: Answer, peer: &Peer, tasks: &TaskTracker) {
    let busy = peer.busy();
    // The waker is never used: a future that is not ready is polled again by its task.
    if answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
        tasks.spawn(async move {
            answer.await;
            drop(busy);
        });
    }
}

type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A typed handler without its type.
trait HandleOne: Send + Sync {
    fn call(&self, command: RemotingCommand, peer: &Peer) -> Answer;
}

struct Typed<R, H> {
    handler: Arc<H>,
    request: std::marker::PhantomData<fn(R)>,
}

impl<R: Request, H: Handle<R>> HandleOne for Typed<R, H> {
    fn call(&self, command: RemotingCommand, peer: &Peer) -> Answer {
        let handler = Arc::clone(&self.handler);
        let peer = peer.clone();
        Box::pin(async move {
            let (to, asked) = (ReplyTo::of(&command), command.request_code());
            let header = match R::decode(&command.ext) {
                Ok(header) => header,
                Err(err) => {
                    tracing::debug!(code = %asked, remote = %peer.remote(), %err, "request refused");
                    let remark = format!("{asked}: {err}");
                    peer.replies(|out| out.reply(to, ResponseCode::SYSTEM_ERROR, Some(&remark), &NoHeader, ()));
                    return;
                }
            };
            let RemotingCommand { body, version, language, ext, .. } = command;
            let call = Call { header, body, peer: peer.clone(), version, language, ext };
            match handler.handle(call).await {
                Ok(reply) if reply.silent => {}
                Ok(mut reply) => {
                    let body = std::mem::take(&mut reply.body);
                    peer.replies(|out| out.reply(to, reply.code, reply.remark.as_deref(), &reply, body));
                }
                Err(err) => {
                    let (code, remark) = (err.code(), err.to_string());
                    tracing::debug!(request = %asked, %code, remark, "request failed");
                    peer.replies(|out| out.reply(to, code, Some(&remark), &NoHeader, ()));
                }
            }
        })
    }
}

/// Calls of each code since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterFigures {
    pub calls: Vec<(RequestCode, u64)>,
    pub unsupported: Vec<(RequestCode, u64)>,
}

/// Codes that nobody handles.
#[derive(Default)]
struct Unsupported {
    counts: Mutex<HashMap<RequestCode, u64>>,
}

/// Distinct codes that are counted one by one; a peer that tries more shares the last count.
const UNSUPPORTED_CODES_MAX: usize = 1000;

impl Unsupported {
    fn answer(&self, command: &RemotingCommand, peer: &Peer) {
        let code = command.request_code();
        self.count(code);
        // Java's remark begins with a blank.
        let remark = format!(" request type {} not supported", code.0);
        let to = ReplyTo::of(command);
        peer.replies(|out| {
            out.reply(to, ResponseCode::REQUEST_CODE_NOT_SUPPORTED, Some(&remark), &NoHeader, ());
        });
    }

    fn count(&self, code: RequestCode) {
        let mut counts = self.counts.lock();
        let full = counts.len() >= UNSUPPORTED_CODES_MAX && !counts.contains_key(&code);
        let key = if full { RequestCode(i32::MAX) } else { code };
        let count = counts.entry(key).or_default();
        *count += 1;
        if *count > 1 {
            return;
        }
        match code.name() {
            // `docs/requests.md` says why; the caller was told.
            Some(_) => tracing::info!(%code, "a request that is not answered here"),
            None => tracing::warn!(%code, "a request that RocketMQ does not have"),
        }
    }

    fn figures(&self) -> Vec<(RequestCode, u64)> {
        let mut counts: Vec<_> = self.counts.lock().iter().map(|(code, count)| (*code, *count)).collect();
        counts.sort_unstable();
        counts
    }
}
