package ferromq;

import java.util.TreeMap;
import org.apache.rocketmq.common.message.MessageExt;

/** Tells of one received message. */
final class Received {
    static Event of(MessageExt message, String broker) {
        Event event = Event.of("received")
            .put("key", message.getKeys())
            .put("tag", message.getTags())
            .put("topic", message.getTopic())
            .put("broker", broker)
            .put("queueId", message.getQueueId())
            .put("queueOffset", message.getQueueOffset())
            .put("reconsumeTimes", message.getReconsumeTimes())
            .put("msgId", message.getMsgId())
            .put("bornTime", message.getBornTimestamp())
            .put("storeTime", message.getStoreTimestamp())
            .put("properties", new TreeMap<>(message.getProperties()))
            .put("thread", Thread.currentThread().getName());
        Body.describe(event, message.getBody());
        return event;
    }
}
