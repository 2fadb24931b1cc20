package ferromq;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * A lite pull consumer. With `mode=subscribe`: `poll count= timeout=` and `commit`; with `mode=assign`:
 * `read queue= offset= count=` reads one queue from where it is told.
 */
final class PullConsumer implements Session.Role {
    private final DefaultLitePullConsumer consumer;
    private final Events events;
    private final Line arguments;

    PullConsumer(Line arguments, Events events) {
        this.events = events;
        this.arguments = arguments;
        consumer = new DefaultLitePullConsumer(arguments.text("group"));
        consumer.setNamesrvAddr(arguments.text("namesrv"));
        consumer.setInstanceName(arguments.text("instance"));
        // On a busy machine the usual 3 s are too few to tell a late answer from a lost one.
        consumer.setMqClientApiTimeout(15000);
        consumer.setAutoCommit(false);
        consumer.setPullBatchSize(arguments.small("batch", 10));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    }

    @Override
    public void start() throws Exception {
        if (arguments.text("mode", "subscribe").equals("subscribe")) {
            if (arguments.has("sql")) {
                consumer.subscribe(arguments.text("topic"), MessageSelector.bySql(arguments.text("sql")));
            } else {
                consumer.subscribe(arguments.text("topic"), arguments.text("tags", "*"));
            }
        }
        consumer.start();
    }

    @Override
    public void command(Line line) throws Exception {
        switch (line.verb) {
            case "poll":
                poll(line.small("count", 1), line.number("timeout", 10000));
                break;
            case "commit":
                consumer.commitSync();
                // commitSync of 4.9 only notes the offsets; the periodic task would send them later.
                consumer.commit(consumer.assignment(), true);
                break;
            case "read":
                read(queue(line.small("queue", 0)), line);
                break;
            default:
                throw new IllegalArgumentException("unknown command " + line.verb);
        }
    }

    @Override
    public void stop() {
        consumer.shutdown();
    }

    /**
     * Takes messages from where it seeks. A pull that is under way meanwhile may take the new offset for itself, and is then
     * dropped with what it brought; so an application that finds itself behind its place seeks again.
     */
    private void read(MessageQueue queue, Line line) throws Exception {
        long offset = line.number("offset", 0);
        consumer.assign(Collections.singletonList(queue));
        List<MessageExt> taken = Collections.emptyList();
        for (int tries = 0; tries < 5 && (taken.isEmpty() || taken.get(0).getQueueOffset() != offset); tries++) {
            consumer.seek(queue, offset);
            taken = take(line.small("count", 1), line.number("timeout", 10000) / 5);
        }
        report(taken);
    }

    /** Takes messages until `count` have come or the time is over. */
    private void poll(int count, long timeoutMillis) {
        report(take(count, timeoutMillis));
    }

    private List<MessageExt> take(int count, long timeoutMillis) {
        long end = System.nanoTime() + timeoutMillis * 1_000_000;
        List<MessageExt> all = new ArrayList<>();
        while (all.size() < count && System.nanoTime() < end) {
            all.addAll(consumer.poll(200));
        }
        return all;
    }

    private void report(List<MessageExt> messages) {
        for (MessageExt message : messages) {
            events.send(Received.of(message, message.getBrokerName()).put("ok", true));
        }
    }

    private MessageQueue queue(int id) throws Exception {
        for (MessageQueue queue : consumer.fetchMessageQueues(arguments.text("topic"))) {
            if (queue.getQueueId() == id) {
                return queue;
            }
        }
        throw new IllegalArgumentException("no queue " + id);
    }
}
