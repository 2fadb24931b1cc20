//! Server and client over loopback: what a peer may do wrong, and that nobody else notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use remoting::client::{Client, ClientConfig};
use remoting::connection::{CallError, ConnectionEvents, Peer, Replies, ReplyTo};
use remoting::frame::{ExtFields, FrameCodec, RemotingCommand};
use remoting::header::NoHeader;
use remoting::protocol::callback::NotifyConsumerIdsChanged;
use remoting::protocol::client::{GetConsumerList, LockBatch};
use remoting::protocol::offset::{GetMaxOffset, OffsetReply};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{Call, Handle, HandleBatch, IntoResponse, Reply, Router};
use remoting::server::{Server, ServerConfig};
use remoting::types::{Opaque, QueueId, QueueOffset};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::codec::{Decoder, Encoder};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

/// Answers offsets with the queue id; refuses queue 13; holds queue 99 until the connection closes.
struct Offsets;

#[derive(Debug, thiserror::Error)]
#[error("queue {0} is not here")]
struct NotHere(QueueId);

impl IntoResponse for NotHere {
    fn code(&self) -> ResponseCode {
        ResponseCode::NOT_LEADER_FOR_QUEUE
    }
}

impl Handle<GetMaxOffset> for Offsets {
    type Error = NotHere;

    async fn handle(&self, call: Call<GetMaxOffset>) -> Result<Reply<OffsetReply>, NotHere> {
        match call.header.queue_id {
            QueueId(13) => Err(NotHere(QueueId(13))),
            QueueId(99) => {
                call.closed().await;
                Ok(Reply::bare(ResponseCode::PULL_NOT_FOUND))
            }
            QueueId(id) => Ok(OffsetReply { offset: QueueOffset(i64::from(id)) }.into()),
        }
    }
}

/// Asks the caller's own connection something, and answers with what it said.
impl Handle<GetConsumerList> for Offsets {
    type Error = CallErrorResponse;

    async fn handle(&self, call: Call<GetConsumerList>) -> Result<Reply<NoHeader>, CallErrorResponse> {
        let ask = GetMaxOffset { topic: "t".into(), queue_id: QueueId(7), committed: None };
        let response = call.peer.call(&ask, Bytes::new(), SOON).await.map_err(CallErrorResponse)?;
        let (reply, _) = response.success::<OffsetReply>().map_err(CallErrorResponse)?;
        Ok(Reply::done().body(reply.offset.to_string()))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CallErrorResponse(CallError);

impl IntoResponse for CallErrorResponse {
    fn code(&self) -> ResponseCode {
        ResponseCode::SYSTEM_ERROR
    }
}

/// Answers locks in batches, each with the size of its batch and a body of 100 KiB.
struct Locks;

impl HandleBatch for Locks {
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer) {
        let body = Bytes::from(vec![b'x'; 100 * 1024]);
        let size = commands.len().to_string();
        let header = ExtFields::from_iter([("batch", size.as_str())]);
        peer.replies(|out: &mut Replies<'_>| {
            for command in commands.drain(..) {
                out.reply(ReplyTo::of(&command), ResponseCode::SUCCESS, None, &header, body.clone());
            }
        });
    }
}

#[derive(Default)]
struct Counted {
    opened: AtomicUsize,
    idle: AtomicUsize,
    failed: AtomicUsize,
    closed: AtomicUsize,
}

impl ConnectionEvents for Counted {
    fn opened(&self, _: &Peer) {
        self.opened.fetch_add(1, Ordering::SeqCst);
    }

    fn idle(&self, _: &Peer) {
        self.idle.fetch_add(1, Ordering::SeqCst);
    }

    fn failed(&self, _: &Peer) {
        self.failed.fetch_add(1, Ordering::SeqCst);
    }

    fn closed(&self, _: &Peer) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

struct Running {
    addr: SocketAddr,
    router: Arc<Router>,
    events: Arc<Counted>,
    stopping: CancellationToken,
    server: JoinHandle<()>,
}

fn start(change: impl FnOnce(&mut ServerConfig)) -> Running {
    let mut config = ServerConfig::listening("127.0.0.1:0".parse().expect("an address"));
    change(&mut config);
    let offsets = Arc::new(Offsets);
    let mut router = Router::default();
    router.on::<GetMaxOffset>(&offsets).on::<GetConsumerList>(&offsets);
    router.on_batch(&[RequestCode::LOCK_BATCH_MQ], &Arc::new(Locks));
    let (router, events, stopping) = (Arc::new(router), Arc::new(Counted::default()), CancellationToken::new());
    let server = Server::bind(config).expect("a free port");
    let addr = server.local_addr().expect("bound");
    let server = tokio::spawn(server.run(Arc::clone(&router), events.clone(), stopping.clone()));
    Running { addr, router, events, stopping, server }
}

impl Running {
    fn client(&self) -> Client {
        let offsets = Arc::new(Offsets);
        let mut router = Router::default();
        router.on::<GetMaxOffset>(&offsets);
        Client::new(ClientConfig::default(), Arc::new(router), self.stopping.child_token())
    }

    async fn max_offset(&self, client: &Client, queue: i32) -> Result<QueueOffset, CallError> {
        let request = GetMaxOffset { topic: "t".into(), queue_id: QueueId(queue), committed: None };
        let response = client.call(&self.addr.to_string(), &request, Bytes::new(), SOON).await?;
        Ok(response.success::<OffsetReply>()?.0.offset)
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.expect("connect")
    }

    async fn until(&self, what: impl Fn(&Counted) -> bool) {
        timeout(SOON, async {
            while !what(&self.events) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("soon");
    }
}

fn bytes_of(command: &RemotingCommand) -> BytesMut {
    let mut bytes = BytesMut::new();
    FrameCodec::default().encode(command, &mut bytes).expect("encoding");
    bytes
}

async fn read_frame(stream: &mut TcpStream) -> RemotingCommand {
    let mut buffer = BytesMut::new();
    timeout(SOON, async {
        loop {
            if let Some(command) = FrameCodec::default().decode(&mut buffer).expect("a frame") {
                return command;
            }
            assert_ne!(stream.read_buf(&mut buffer).await.expect("read"), 0, "closed without an answer");
        }
    })
    .await
    .expect("an answer")
}

async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is a close as well.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("closed soon");
    assert!(rest.is_empty(), "nothing is answered to what is no frame");
}

#[tokio::test]
async fn calls_are_answered_with_success_and_with_failure() {
    let running = start(|_| {});
    let client = running.client();
    assert_eq!(running.max_offset(&client, 5).await.expect("an answer"), QueueOffset(5));
    match running.max_offset(&client, 13).await {
        Err(CallError::Refused { code, remark }) => {
            assert_eq!((code, remark.as_str()), (ResponseCode::NOT_LEADER_FOR_QUEUE, "queue 13 is not here"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(running.events.opened.load(Ordering::SeqCst), 1, "one connection is kept");
}

#[tokio::test]
async fn unknown_codes_are_answered_and_counted() {
    let running = start(|_| {});
    let mut stream = running.raw().await;
    let request = RemotingCommand { opaque: Opaque(77), ..RemotingCommand::request(RequestCode(4711)) };
    stream.write_all(&bytes_of(&request)).await.expect("write");
    let response = read_frame(&mut stream).await;
    assert_eq!(response.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(response.remark.as_deref(), Some(" request type 4711 not supported"));
    assert_eq!((response.opaque, response.flag), (Opaque(77), RemotingCommand::RESPONSE));
    assert_eq!(running.router.figures().unsupported, [(RequestCode(4711), 1)]);
}

#[tokio::test]
async fn a_missing_field_is_answered_with_its_name() {
    let running = start(|_| {});
    let mut stream = running.raw().await;
    stream.write_all(&bytes_of(&RemotingCommand::request(RequestCode::GET_MAX_OFFSET))).await.expect("write");
    let response = read_frame(&mut stream).await;
    assert_eq!(response.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(response.remark.as_deref(), Some("GET_MAX_OFFSET (30): the field topic is missing"));
}

#[tokio::test]
async fn one_way_requests_are_not_answered() {
    let running = start(|_| {});
    let mut stream = running.raw().await;
    let mut bytes = BytesMut::new();
    for (opaque, flag) in [(1, RemotingCommand::ONE_WAY), (2, 0)] {
        let request = RemotingCommand { opaque: Opaque(opaque), flag, ..RemotingCommand::request(RequestCode(4711)) };
        bytes.extend_from_slice(&bytes_of(&request));
    }
    stream.write_all(&bytes).await.expect("write");
    assert_eq!(read_frame(&mut stream).await.opaque, Opaque(2));
}

#[tokio::test]
async fn what_is_no_frame_closes_its_connection_and_no_other() {
    let running = start(|_| {});
    let client = running.client();
    running.max_offset(&client, 1).await.expect("an answer");
    let mut lying = BytesMut::new();
    lying.put_u32(0x7FFF_FFFF);
    lying.put_u32(0);
    let mut header = BytesMut::new();
    header.put_u32(10);
    header.put_u32(0xFF_FFFF);
    header.put_slice(&[0; 6]);
    for garbage in
        [&lying[..], &header[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0, 0]]
    {
        let mut stream = running.raw().await;
        stream.write_all(garbage).await.expect("write");
        closed(&mut stream).await;
    }
    assert_eq!(running.max_offset(&client, 2).await.expect("an answer"), QueueOffset(2));
}

#[tokio::test]
async fn frames_before_a_broken_one_are_still_answered() {
    let running = start(|_| {});
    let mut stream = running.raw().await;
    let mut bytes = bytes_of(&RemotingCommand { opaque: Opaque(9), ..RemotingCommand::request(RequestCode(4711)) });
    bytes.put_u32(u32::MAX);
    stream.write_all(&bytes).await.expect("write");
    assert_eq!(read_frame(&mut stream).await.opaque, Opaque(9));
    closed(&mut stream).await;
}

#[tokio::test]
async fn a_frame_may_come_byte_by_byte() {
    let running = start(|_| {});
    let mut stream = running.raw().await;
    for byte in bytes_of(&RemotingCommand::request(RequestCode(4711))) {
        stream.write_all(&[byte]).await.expect("write");
        stream.flush().await.expect("flush");
        tokio::task::yield_now().await;
    }
    read_frame(&mut stream).await;
}

#[tokio::test]
async fn neighbours_are_handled_as_one_batch_and_a_slow_reader_gets_everything_in_order() {
    let running = start(|config| config.limits.unsent_bytes_max = 256 * 1024);
    let mut stream = running.raw().await;
    // 40 MB of answers to a peer that does not read: far more than the bound, so the server must stop reading.
    let requests = 400;
    let (mut reader, mut writer) = stream.split();
    let mut bytes = BytesMut::new();
    for opaque in 0..requests {
        bytes.extend_from_slice(&bytes_of(&RemotingCommand {
            opaque: Opaque(opaque),
            ..RemotingCommand::request(RequestCode::LOCK_BATCH_MQ)
        }));
    }
    writer.write_all(&bytes).await.expect("write");
    let mut buffer = BytesMut::new();
    let mut batched = false;
    for opaque in 0..requests {
        let response = timeout(SOON, async {
            loop {
                if let Some(command) = FrameCodec::default().decode(&mut buffer).expect("a frame") {
                    return command;
                }
                assert_ne!(reader.read_buf(&mut buffer).await.expect("read"), 0);
            }
        })
        .await
        .expect("an answer");
        assert_eq!((response.opaque, response.body.len()), (Opaque(opaque), 100 * 1024));
        batched |= response.ext.get("batch") != Some("1");
    }
    assert!(batched, "frames of one read are one batch");
}

#[tokio::test]
async fn what_a_peer_says_before_it_resets_the_connection_counts() {
    let running = start(|config| config.limits.unsent_bytes_max = 256 * 1024);
    let mut stream = running.raw().await;
    // Far more answers than are taken: the server stops reading, with the last request still unread.
    let mut bytes = BytesMut::new();
    for opaque in 0..400 {
        let request = RemotingCommand::request(RequestCode::LOCK_BATCH_MQ);
        bytes.extend_from_slice(&bytes_of(&RemotingCommand { opaque: Opaque(opaque), ..request }));
    }
    let farewell = RemotingCommand::request(RequestCode(4711));
    bytes.extend_from_slice(&bytes_of(&RemotingCommand { flag: RemotingCommand::ONE_WAY, ..farewell }));
    stream.write_all(&bytes).await.expect("write");
    // Closing with unread bytes resets.
    stream.readable().await.expect("answers");
    drop(stream);
    running.until(|events| events.closed.load(Ordering::SeqCst) == 1).await;
    assert_eq!(running.router.figures().unsupported, [(RequestCode(4711), 1)]);
}

#[tokio::test]
async fn a_waiting_handler_does_not_hold_up_others() {
    let running = start(|_| {});
    let client = running.client();
    let waiting = running.max_offset(&client, 99);
    tokio::pin!(waiting);
    tokio::select! {
        _ = &mut waiting => panic!("nothing ends the wait"),
        answer = running.max_offset(&client, 3) => assert_eq!(answer.expect("an answer"), QueueOffset(3)),
    }
}

#[tokio::test]
async fn a_half_open_connection_is_closed_when_idle() {
    let running = start(|config| config.limits.idle = Duration::from_millis(50));
    let mut stream = running.raw().await;
    stream.write_all(&[0, 0]).await.expect("write");
    closed(&mut stream).await;
    running.until(|events| events.closed.load(Ordering::SeqCst) == 1).await;
    assert_eq!((running.events.idle.load(Ordering::SeqCst), running.events.failed.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn the_server_calls_its_client_on_the_same_connection() {
    let running = start(|_| {});
    let client = running.client();
    let request = GetConsumerList { consumer_group: "g".into() };
    let response = client.call(&running.addr.to_string(), &request, Bytes::new(), SOON).await.expect("an answer");
    assert_eq!(response.success::<NoHeader>().expect("success").1, "7");
}

#[tokio::test]
async fn a_call_times_out_and_its_late_answer_is_dropped() {
    let running = start(|_| {});
    let client = running.client();
    let request = GetMaxOffset { topic: "t".into(), queue_id: QueueId(99), committed: None };
    let outcome = client.call(&running.addr.to_string(), &request, Bytes::new(), Duration::from_millis(50)).await;
    assert!(matches!(outcome, Err(CallError::Timeout { .. })), "{outcome:?}");
    assert_eq!(running.max_offset(&client, 4).await.expect("an answer"), QueueOffset(4));
}

#[tokio::test]
async fn calls_fail_when_the_connection_goes_and_the_next_call_reconnects() {
    let running = start(|_| {});
    let client = running.client();
    let addr = running.addr;
    running.max_offset(&client, 1).await.expect("an answer");
    running.stopping.cancel();
    timeout(SOON, running.server).await.expect("stopped soon").expect("no panic");
    let refused = Client::new(ClientConfig::default(), Arc::default(), CancellationToken::new())
        .call(&addr.to_string(), &LockBatch {}, Bytes::new(), SOON)
        .await;
    assert!(matches!(refused, Err(CallError::Connect { .. })), "{refused:?}");
}

#[tokio::test]
async fn stopping_answers_what_waits_and_then_closes() {
    let running = start(|_| {});
    let mut stream = running.raw().await;
    let mut request = RemotingCommand::request(RequestCode::GET_MAX_OFFSET);
    request.ext = ExtFields::from_iter([("topic", "t"), ("queueId", "99")]);
    stream.write_all(&bytes_of(&request)).await.expect("write");
    running.until(|events| events.opened.load(Ordering::SeqCst) == 1).await;
    while running.router.figures().calls.iter().all(|(_, count)| *count == 0) {
        tokio::task::yield_now().await;
    }
    running.stopping.cancel();
    assert_eq!(read_frame(&mut stream).await.response_code(), ResponseCode::PULL_NOT_FOUND);
    closed(&mut stream).await;
    timeout(SOON, running.server).await.expect("stopped soon").expect("no panic");
}

#[tokio::test]
async fn one_way_requests_reach_the_other_end() {
    let running = start(|_| {});
    let client = running.client();
    let notice = NotifyConsumerIdsChanged { consumer_group: "g".into() };
    client.one_way(&running.addr.to_string(), &notice, Bytes::new()).await.expect("connected");
    timeout(SOON, async {
        while running.router.figures().unsupported.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("counted as a request that nobody handles");
}

#[tokio::test]
async fn ten_thousand_idle_connections_leave_room_for_work() {
    let (soft, connections) = (open_files_limit(), 10_000);
    // Both ends are in this process.
    let connections = connections.min(soft.saturating_sub(200) / 2);
    let running = start(|_| {});
    let mut idle = Vec::new();
    for _ in 0..connections {
        idle.push(running.raw().await);
    }
    running.until(|events| events.opened.load(Ordering::SeqCst) == connections).await;
    let client = running.client();
    assert_eq!(running.max_offset(&client, 6).await.expect("an answer"), QueueOffset(6));
    drop(idle);
    running.until(|events| events.closed.load(Ordering::SeqCst) == connections).await;
}

/// The soft limit of open files, which a test cannot raise without the system's leave.
fn open_files_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}
