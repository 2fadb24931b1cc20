package ferromq;

import java.util.HashSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Reads light queues, which no name server knows: `topic` is one that leads to the broker.
 * `pull queue= broker= count= [offset=]` starts at the offset or where the group stands, and commits what it has read.
 */
final class LightConsumer implements Session.Role {
    private final DefaultMQPullConsumer consumer;
    private final Events events;
    private final Line arguments;

    LightConsumer(Line arguments, Events events) {
        this.events = events;
        this.arguments = arguments;
        consumer = new DefaultMQPullConsumer(arguments.text("group"));
        consumer.setNamesrvAddr(arguments.text("namesrv"));
        consumer.setInstanceName(arguments.text("instance"));
        // On a busy machine the usual 3 s are too few to tell a late answer from a lost one.
        consumer.setMqClientApiTimeout(15000);
        consumer.setRegisterTopics(new HashSet<>());
    }

    @Override
    public void start() throws Exception {
        consumer.start();
        consumer.getDefaultMQPullConsumerImpl().getRebalanceImpl().getmQClientFactory()
            .updateTopicRouteInfoFromNameServer(arguments.text("topic"));
    }

    @Override
    public void command(Line line) throws Exception {
        if (!line.verb.equals("pull")) {
            throw new IllegalArgumentException("unknown command " + line.verb);
        }
        MessageQueue queue = new MessageQueue(line.text("queue"), line.text("broker"), 0);
        long committed = line.has("offset") ? line.number("offset", 0) : consumer.fetchConsumeOffset(queue, true);
        long offset = Math.max(committed, 0);
        long end = System.nanoTime() + 60_000_000_000L;
        int wanted = line.small("count", 1);
        while (wanted > 0 && System.nanoTime() < end) {
            PullResult result = consumer.pullBlockIfNotFound(queue, "*", offset, wanted);
            offset = result.getNextBeginOffset();
            if (result.getPullStatus() == PullStatus.FOUND) {
                wanted -= result.getMsgFoundList().size();
                for (MessageExt message : result.getMsgFoundList()) {
                    events.send(Received.of(message, message.getBrokerName()).put("ok", true));
                }
            }
        }
        consumer.getDefaultMQPullConsumerImpl().getOffsetStore().updateConsumeOffsetToBroker(queue, offset, false);
    }

    @Override
    public void stop() {
        consumer.shutdown();
    }
}
