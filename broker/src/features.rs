//! All features of a broker, put together for one role: the one place that knows them all.
//!
//! A broker of its own has them once. A member of a Raft group gets new ones whenever its role changes, and they find what the
//! others left in the log and in the tables, as a start after a crash does. What outlives them is the [`Ground`].

use std::sync::Arc;

use remoting::protocol::RequestCode;
use remoting::router::Router;
use remoting::types::{BrokerId, Clock, Host};
use store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Admin, LiveConfig};
use crate::assemble::StartError;
use crate::assignment::{self, Assignments};
use crate::client::{self, Clients, Connected, Locks};
use crate::config::BrokerConfig;
use crate::context::{Context, Identity, Mastery, Role};
use crate::delay::{self, Delays, Levels, Recalls, Timers, Waits};
use crate::group::GroupTable;
use crate::ha::Copies;
use crate::metrics::Rooms;
use crate::offset::{self, Offsets};
use crate::persist::{Home, log_unsaved};
use crate::pop::{self, Pops};
use crate::pull::{self, Pulls};
use crate::query::{self, Queries};
use crate::register::{Registrar, Shown};
use crate::reply::{self, Replies};
use crate::retention;
use crate::retry::{self, Retries};
use crate::send::{self, Sends, Writer};
use crate::slave::{self, News, Tables};
use crate::stats::Stats;
use crate::topic::TopicTable;
use crate::transaction::{self, Transactions};

/// What features stand on, and what stays when they go.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) live: Arc<LiveConfig>,
    pub(crate) settings: watch::Receiver<Arc<BrokerConfig>>,
    pub(crate) clock: Clock,
    pub(crate) store: Arc<Store>,
    /// Clients stay connected whatever becomes of the role.
    pub(crate) connected: Connected,
    /// Whether slaves must hold what producers send.
    pub(crate) copies: Copies,
    /// Of a slave.
    pub(crate) master: Mastery,
}

/// In the order of their needs.
pub(crate) struct Features {
    ctx: Context,
    role: watch::Sender<Role>,
    store: Arc<Store>,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) groups: Arc<GroupTable>,
    stats: Arc<Stats>,
    locks: Arc<Locks>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) offsets: Arc<Offsets>,
    sends: Arc<Sends>,
    pulls: Arc<Pulls>,
    replies: Arc<Replies>,
    pops: Arc<Pops>,
    assignments: Arc<Assignments>,
    retries: Arc<Retries>,
    delays: Arc<Delays>,
    transactions: Arc<Transactions>,
    timers: Arc<Timers>,
    recalls: Arc<Recalls>,
    queries: Arc<Queries>,
    registrar: Arc<Registrar>,
    /// Shows a member of a group to producers ([`door`]).
    door: Option<Arc<Registrar>>,
    admin: Admin,
    news: Arc<News>,
    /// It keeps its tables in files of its own.
    saves: bool,
}

impl Features {
    /// Features of a broker that is this to others, with the tables of `home`. Blocks.
    ///
    /// # Errors
    /// [`StartError`].
    pub(crate) fn open(ground: &Ground, identity: Arc<Identity>, role: Role, home: &Home) -> Result<Self, StartError> {
        let role = watch::Sender::new(role);
        let ctx = Context {
            identity,
            config: ground.settings.clone(),
            role: role.subscribe(),
            master: ground.master.clone(),
            clock: ground.clock.clone(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        let settings = ctx.settings();
        let store = || Arc::clone(&ground.store);
        let stats = Stats::new(ctx.clone());
        let topics = TopicTable::open(ctx.clone(), home)?;
        let groups = GroupTable::open(ctx.clone(), home)?;
        let (topics, groups) = (|| Arc::clone(&topics), || Arc::clone(&groups));
        let locks = Locks::open(home);
        let connected = ground.connected.clone();
        let clients = Clients::open_with(
            ctx.clone(),
            home,
            topics(),
            groups(),
            Arc::clone(&locks),
            Arc::clone(&stats),
            connected,
        )
        .map_err(StartError::Filters)?;
        let offsets = Offsets::open(ctx.clone(), home, store(), topics(), groups(), Arc::clone(&clients))?;
        let levels = Arc::new(Levels::new(settings.delay_levels().map_err(StartError::Config)?));
        let timers = Timers::open(ctx.clone(), home, store(), Arc::clone(&stats))?;
        let waits = Waits::new(Arc::clone(&levels), Arc::clone(&timers));
        let sends = Sends::new(send::Parts {
            ctx: ctx.clone(),
            store: store(),
            topics: topics(),
            groups: groups(),
            locks: Arc::clone(&locks),
            stats: Arc::clone(&stats),
            waits: waits.clone(),
            copies: ground.copies.clone(),
        });
        let writer = Writer::new(store(), waits.clone(), ground.copies.clone());
        let recalls = Recalls::new(ctx.clone(), topics(), Arc::clone(&writer));
        let replies = Replies::new(
            ctx.clone(),
            Arc::clone(&clients),
            Arc::clone(&sends),
            Arc::clone(&writer),
            Arc::clone(&stats),
        );
        let retries = Retries::new(ctx.clone(), store(), topics(), groups(), writer, Arc::clone(&stats));
        let transactions = Transactions::new(
            ctx.clone(),
            store(),
            topics(),
            Arc::clone(&clients),
            Arc::clone(&offsets),
            Arc::clone(&stats),
            waits,
        );
        let delays =
            Delays::open(ctx.clone(), home, store(), Arc::clone(&stats), levels).map_err(StartError::Delays)?;
        let pulls = Pulls::new(
            ctx.clone(),
            store(),
            topics(),
            groups(),
            Arc::clone(&clients),
            Arc::clone(&offsets),
            Arc::clone(&stats),
        );
        let pops = pop::Parts {
            ctx: ctx.clone(),
            store: store(),
            topics: topics(),
            groups: groups(),
            clients: Arc::clone(&clients),
            offsets: Arc::clone(&offsets),
            stats: Arc::clone(&stats),
            timer: {
                let timers = Arc::clone(&timers);
                Box::new(move || timers.delivered_until())
            },
        };
        let pops = Pops::open(pops, home).map_err(StartError::Pops)?;
        let queries = Queries::new(ctx.clone(), store(), Arc::clone(&clients));
        let registrar = Registrar::new(ctx.clone(), topics(), Arc::default(), Shown::AsTheyAre);
        let door = door(&ctx).map(|ctx| Registrar::new(ctx, topics(), Arc::default(), Shown::ForWriting));
        let assignments =
            Assignments::open(ctx.clone(), home, topics(), groups(), Arc::clone(&clients), Arc::clone(&registrar))
                .map_err(StartError::Assignments)?;
        let admin = Admin::new(admin::Parts {
            ctx: ctx.clone(),
            config: Arc::clone(&ground.live),
            store: store(),
            topics: topics(),
            groups: groups(),
            clients: Arc::clone(&clients),
            offsets: Arc::clone(&offsets),
            delays: Arc::clone(&delays),
            timers: Arc::clone(&timers),
            stats: Arc::clone(&stats),
            registrar: Arc::clone(&registrar),
        });
        let (topics, groups, store) = (topics(), groups(), store());
        let tables = Tables {
            topics: Arc::clone(&topics),
            groups: Arc::clone(&groups),
            offsets: Arc::clone(&offsets),
            delays: Arc::clone(&delays),
            assignments: Arc::clone(&assignments),
            timers: Arc::clone(&timers),
            stats: Arc::clone(&stats),
        };
        let news = News::new(ctx.clone(), Arc::clone(&store), tables);
        let saves = !home.is_of_group();
        Ok(Self {
            ctx,
            role,
            store,
            topics,
            groups,
            stats,
            locks,
            clients,
            offsets,
            sends,
            pulls,
            replies,
            pops,
            assignments,
            retries,
            delays,
            transactions,
            timers,
            recalls,
            queries,
            registrar,
            door,
            admin,
            news,
            saves,
        })
    }

    /// The handlers of the listening port.
    pub(crate) fn router(&self) -> Router {
        let mut router = Router::default();
        send::routes(&self.sends, &mut router);
        pull::routes(&self.pulls, &mut router);
        pop::routes(&self.pops, &mut router);
        assignment::routes(&self.assignments, &mut router);
        offset::routes(&self.offsets, &mut router);
        client::routes(&self.clients, &mut router);
        client::lock_routes(&self.locks, &mut router);
        reply::routes(&self.replies, &mut router);
        retry::routes(&self.retries, &mut router);
        delay::routes(&self.delays, &mut router);
        transaction::routes(&self.transactions, &mut router);
        delay::timer_routes(&self.timers, &mut router);
        delay::recall_routes(&self.recalls, &mut router);
        query::routes(&self.queries, &mut router);
        admin::routes(&self.admin, &mut router);
        slave::routes(&self.news, &mut router);
        router
    }

    /// What a slave copies from its master.
    pub(crate) fn tables(&self) -> &Tables {
        self.news.tables()
    }

    /// What has figures for metrics.
    pub(crate) fn rooms(&self) -> Rooms {
        Rooms {
            ctx: self.ctx.clone(),
            store: Arc::clone(&self.store),
            topics: Arc::clone(&self.topics),
            groups: Arc::clone(&self.groups),
            clients: Arc::clone(&self.clients),
            stats: Arc::clone(&self.stats),
        }
    }

    /// Begins what goes on by itself. Most of it only one member of a broker set may do.
    pub(crate) fn start(&self) {
        self.news.start();
        self.stats.start();
        self.clients.start();
        let pops = Arc::clone(&self.pops);
        self.pulls.start(move |queue| pops.grown(queue));
        retention::start(&self.ctx, &self.store, &self.topics);
        let role = *self.ctx.role.borrow();
        if role == Role::Master || self.saves {
            self.offsets.start();
        }
        if role.delivers() {
            self.pops.start();
            self.delays.start();
            self.transactions.start();
            self.timers.start();
        }
        self.registrar.start();
        self.door.iter().for_each(Registrar::start);
    }

    /// Ends what goes on by itself, and saves what is known. Commits are refused from then on.
    pub(crate) async fn stop(&self) {
        self.ctx.stopping.cancel();
        self.ctx.tasks.close();
        self.ctx.tasks.wait().await;
        self.offsets.close();
        self.offsets.persist().await;
        let (delays, pops) = (Arc::clone(&self.delays), Arc::clone(&self.pops));
        let saving = tokio::task::spawn_blocking(move || {
            delays.persist();
            if let Err(err) = pops.persist() {
                log_unsaved(&err, "the book of ordered pops is not saved");
            }
        });
        saving.await.expect("saving does not panic");
    }

    /// As [`Features::stop`], before features of another role read what is saved. Name servers go on with what they know.
    pub(crate) async fn make_way(&self) {
        self.stop().await;
        self.registrar.fall_silent().await;
    }

    /// Takes the broker out of all routes.
    pub(crate) async fn unregister(&self) {
        self.registrar.close().await;
        if let Some(door) = &self.door {
            door.close().await;
        }
    }

    /// Makes way for features of another role: what goes on by itself ends, and nothing is saved, which is others' business
    /// now. Name servers go on with what they know.
    pub(crate) async fn leave(&self) {
        self.role.send_replace(Role::Slave);
        self.ctx.stopping.cancel();
        self.ctx.tasks.close();
        self.registrar.fall_silent().await;
        if let Some(door) = &self.door {
            door.fall_silent().await;
        }
        self.ctx.tasks.wait().await;
    }
}

/// Where followers take writes, each member is shown to producers as the master of a set of its own, `<brokerName>-n<number>`,
/// on its fast port, with queues that can be written to only. A producer that finds the leader dead tries another set at
/// once, and that is a member, which passes the message on: with one set it would wait for the next route, up to 30 s.
/// Name servers tell brokers apart by their addresses, hence the other port.
fn door(ctx: &Context) -> Option<Context> {
    let settings = ctx.settings();
    let peers = settings.peers().ok()?.filter(|_| settings.followers_take_writes)?;
    let own = &ctx.identity;
    let name = format!("{}-n{}", own.name, peers.own - 1).into();
    let host = Host { port: own.host.port - 2, ..own.host };
    let identity = Arc::new(Identity { id: BrokerId::MASTER, name, host, ..Identity::clone(own) });
    Some(Context { identity, ..ctx.clone() })
}

/// What the fast port leaves out. Java does not pull there either: a long poll would take the place of what is to be fast.
pub(crate) fn slow_codes() -> impl Iterator<Item = RequestCode> {
    pull::CODES.into_iter().chain(pop::SLOW_CODES)
}
