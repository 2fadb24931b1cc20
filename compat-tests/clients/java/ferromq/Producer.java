package ferromq;

import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;

/**
 * Sends: `send mode=sync|async|oneway|batch|transaction topic= key= [count=] …`, and `stream … / stop` until told otherwise,
 * with `every=` no more often than every so many milliseconds, with `mode=async` whether there are answers or not, and with
 * `cycle.name=a,b` the property `name` with the next of these words in each message;
 * `request topic= key= within=` sends and waits so many milliseconds for the reply.
 * `recall topic= [handle=]` takes a timed message back, the last one or that of the handle.
 * Transactions need the role's argument `transactional=true`.
 */
final class Producer implements Session.Role {
    private final DefaultMQProducer producer;
    private final Events events;
    private volatile Thread stream;
    /** Of the timed message that was sent last. */
    private volatile String lastHandle = "";

    Producer(Line arguments, Events events) {
        this.events = events;
        String group = arguments.text("group");
        producer = arguments.has("transactional") ? Transactions.producer(group, events) : new DefaultMQProducer(group);
        producer.setNamesrvAddr(arguments.text("namesrv"));
        Settings.apply(arguments, producer);
        producer.setInstanceName(arguments.text("instance"));
        // On a busy machine the usual 3 s are too few to tell a late answer from a lost one.
        producer.setMqClientApiTimeout(arguments.small("apiTimeout", 15000));
        producer.setSendMsgTimeout(arguments.small("timeout", 15000));
        producer.setRetryTimesWhenSendFailed(arguments.small("retries", 2));
        producer.setMaxMessageSize(arguments.small("maxSize", 4 * 1024 * 1024));
        producer.setCompressMsgBodyOverHowmuch(arguments.small("compressOver", 4096));
        producer.setPollNameServerInterval(arguments.small("poll", 1000));
        producer.setHeartbeatBrokerInterval(arguments.small("heartbeat", 5000));
    }

    @Override
    public void start() throws Exception {
        producer.start();
    }

    @Override
    public void command(Line line) throws Exception {
        switch (line.verb) {
            case "send":
                send(line);
                break;
            case "request":
                request(line);
                break;
            case "recall":
                recall(line);
                break;
            case "stream":
                stream = new Thread(() -> stream(line), "stream");
                stream.start();
                break;
            case "stop":
                endStream();
                break;
            default:
                throw new IllegalArgumentException("unknown command " + line.verb);
        }
    }

    @Override
    public void stop() throws Exception {
        endStream();
        producer.shutdown();
    }

    private void send(Line line) throws Exception {
        List<Message> messages = messages(line);
        switch (line.text("mode", "sync")) {
            case "sync":
            case "transaction":
                for (Message message : messages) {
                    sendOne(message, line);
                }
                break;
            case "async":
                sendAsync(messages, line);
                break;
            case "oneway":
                for (Message message : messages) {
                    sendOneway(message, line);
                }
                break;
            case "batch":
                sendBatch(messages);
                break;
            default:
                throw new IllegalArgumentException("unknown mode " + line.text("mode"));
        }
    }

    private void request(Line line) throws Exception {
        for (Message message : messages(line)) {
            Message reply = producer.request(message, line.number("within", 10000));
            events.send(Event.of("replied")
                .put("key", message.getKeys())
                .put("body", new String(reply.getBody(), StandardCharsets.UTF_8))
                .put("properties", new TreeMap<>(reply.getProperties())));
        }
    }

    private boolean sendSync(Message message, Line line) {
        long began = System.currentTimeMillis();
        try {
            SendResult result = line.has("queue")
                ? producer.send(message, (queues, m, id) -> queues.get((Integer) id), line.small("queue", 0))
                : producer.send(message);
            sent(Collections.singletonList(message.getKeys()), result, began);
            return true;
        } catch (Exception failure) {
            failed(Collections.singletonList(message.getKeys()), failure, began);
            return false;
        }
    }

    private boolean sendInTransaction(Message message) {
        long began = System.currentTimeMillis();
        try {
            SendResult result = ((TransactionMQProducer) producer).sendMessageInTransaction(message, null);
            sent(Collections.singletonList(message.getKeys()), result, began);
            return true;
        } catch (Exception failure) {
            failed(Collections.singletonList(message.getKeys()), failure, began);
            return false;
        }
    }

    private void sendAsync(List<Message> messages, Line line) throws InterruptedException {
        CountDownLatch answered = new CountDownLatch(messages.size());
        for (Message message : messages) {
            sendAsync(message, line, answered::countDown);
        }
        answered.await();
    }

    /** False if it failed before it was on its way. */
    private boolean sendAsync(Message message, Line line, Runnable answered) {
        List<String> keys = Collections.singletonList(message.getKeys());
        long began = System.currentTimeMillis();
        SendCallback callback = new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                sent(keys, result, began);
                answered.run();
            }

            @Override
            public void onException(Throwable failure) {
                failed(keys, failure, began);
                answered.run();
            }
        };
        try {
            if (line.has("queue")) {
                producer.send(message, (queues, m, id) -> queues.get((Integer) id), line.small("queue", 0), callback);
            } else {
                producer.send(message, callback);
            }
            return true;
        } catch (Exception failure) {
            callback.onException(failure);
            return false;
        }
    }

    private void sendOneway(Message message, Line line) throws Exception {
        if (line.has("queue")) {
            producer.sendOneway(message, (queues, m, id) -> queues.get((Integer) id), line.small("queue", 0));
        } else {
            producer.sendOneway(message);
        }
    }

    private void sendBatch(List<Message> messages) {
        List<String> keys = new ArrayList<>();
        messages.forEach(message -> keys.add(message.getKeys()));
        long began = System.currentTimeMillis();
        try {
            sent(keys, producer.send(messages), began);
        } catch (Exception failure) {
            failed(keys, failure, began);
        }
    }

    /** Takes back a timed message by the handle that its send was answered with; the method exists in 5.x only. */
    private void recall(Line line) {
        try {
            Object id = DefaultMQProducer.class.getMethod("recallMessage", String.class, String.class)
                .invoke(producer, line.text("topic"), line.text("handle", lastHandle));
            events.send(Event.of("recalled").put("msgId", id));
        } catch (InvocationTargetException failure) {
            failed(Collections.emptyList(), failure.getCause(), System.currentTimeMillis());
        } catch (ReflectiveOperationException missing) {
            throw new IllegalStateException(missing);
        }
    }

    /** The handle in the answer to the send of a timed message, else empty; the getter exists in 5.x only. */
    private static String recallHandle(SendResult result) {
        try {
            return Objects.toString(SendResult.class.getMethod("getRecallHandle").invoke(result), "");
        } catch (ReflectiveOperationException missing) {
            return "";
        }
    }

    /** Sends one message after the other until `stop`; a failed key is not sent again. */
    private void stream(Line line) {
        String prefix = line.text("key");
        Map<String, String> cycles = line.under("cycle.");
        long next = System.currentTimeMillis();
        for (int n = 0; stream == Thread.currentThread(); n++) {
            Message message = message(line, prefix + "-" + n);
            for (Map.Entry<String, String> cycle : cycles.entrySet()) {
                String[] words = cycle.getValue().split(",");
                message.putUserProperty(cycle.getKey(), words[n % words.length]);
            }
            if (!sendOne(message, line)) {
                pause(50);
            }
            // What was late is not made up for.
            next = Math.max(next + line.number("every", 0), System.currentTimeMillis());
            pause(Math.max(0, next - System.currentTimeMillis()));
        }
    }

    /** In a mode that a stream may have; false if it failed, of an asynchronous one before it was on its way. */
    private boolean sendOne(Message message, Line line) {
        switch (line.text("mode", "sync")) {
            case "async":
                return sendAsync(message, line, () -> { });
            case "transaction":
                return sendInTransaction(message);
            default:
                return sendSync(message, line);
        }
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    private void endStream() throws InterruptedException {
        Thread running = stream;
        stream = null;
        if (running != null) {
            running.join();
        }
    }

    private static List<Message> messages(Line line) {
        if (!line.has("count")) {
            return Collections.singletonList(message(line, line.text("key")));
        }
        List<Message> messages = new ArrayList<>();
        for (int n = 0; n < line.small("count", 1); n++) {
            messages.add(message(line, line.text("key") + "-" + n));
        }
        return messages;
    }

    private static Message message(Line line, String key) {
        Message message = new Message(line.text("topic"), line.text("tag", ""), key, Body.of(line, key));
        if (line.has("delay")) {
            message.setDelayTimeLevel(line.small("delay", 0));
        }
        // Properties with a meaning of their own are refused as user properties, and 4.x has no setters for all of them.
        line.under("system.").forEach((name, value) -> MessageAccessor.putProperty(message, name, value));
        for (Map.Entry<String, String> property : line.under("prop.").entrySet()) {
            message.putUserProperty(property.getKey(), property.getValue());
        }
        // Without a tag the property must be missing, not empty.
        if (!line.has("tag")) {
            message.getProperties().remove(MessageConst.PROPERTY_TAGS);
        }
        return message;
    }

    private void sent(List<String> keys, SendResult result, long began) {
        String handle = recallHandle(result);
        if (!handle.isEmpty()) {
            lastHandle = handle;
        }
        events.send(Event.of("sent")
            .put("keys", keys)
            .put("status", result.getSendStatus().name())
            .put("msgId", result.getMsgId())
            // The results of transactions have none.
            .put("offsetMsgId", Objects.toString(result.getOffsetMsgId(), ""))
            .put("broker", result.getMessageQueue().getBrokerName())
            .put("queueId", result.getMessageQueue().getQueueId())
            .put("queueOffset", result.getQueueOffset())
            .put("recallHandle", handle)
            .put("began", began)
            .put("time", System.currentTimeMillis()));
    }

    private void failed(List<String> keys, Throwable failure, long began) {
        events.send(Event.failed(failure).put("keys", keys).put("began", began).put("time", System.currentTimeMillis()));
    }
}
