package ferromq;

import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** A push consumer that can be told to fail each message's first deliveries (`fail=n`), and to reply to each (`reply=text`). */
final class PushConsumer implements Session.Role {
    private final DefaultMQPushConsumer consumer;
    private final Events events;
    private final Line arguments;
    private final int failures;
    private final long pauseMillis;
    /** Orderly retries happen inside the client; the broker's reconsumeTimes stays behind, so we count. */
    private final Map<String, Integer> attempts = new ConcurrentHashMap<>();
    /** Sends the replies, if there are to be any. */
    private volatile DefaultMQProducer replier;

    PushConsumer(Line arguments, Events events) {
        this.events = events;
        this.arguments = arguments;
        failures = arguments.small("fail", 0);
        pauseMillis = arguments.number("pause", 0);
        consumer = new DefaultMQPushConsumer(arguments.text("group"));
        consumer.setNamesrvAddr(arguments.text("namesrv"));
        Settings.apply(arguments, consumer);
        consumer.setInstanceName(arguments.text("instance"));
        // On a busy machine the usual 3 s are too few to tell a late answer from a lost one.
        consumer.setMqClientApiTimeout(arguments.small("apiTimeout", 15000));
        consumer.setPollNameServerInterval(arguments.small("poll", 1000));
        consumer.setHeartbeatBrokerInterval(arguments.small("heartbeat", 5000));
        consumer.setPersistConsumerOffsetInterval(arguments.small("persist", 1000));
        consumer.setConsumeFromWhere(arguments.text("from", "first").equals("first")
            ? ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET
            : ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        consumer.setConsumeThreadMin(arguments.small("threads", 4));
        consumer.setConsumeThreadMax(arguments.small("threads", 4));
        consumer.setSuspendCurrentQueueTimeMillis(100);
        if (arguments.has("maxReconsume")) {
            consumer.setMaxReconsumeTimes(arguments.small("maxReconsume", -1));
        }
        if (arguments.text("balance", "client").equals("broker")) {
            set("setClientRebalance", boolean.class, false);
            set("setPopInvisibleTime", long.class, arguments.number("invisible", 5000));
        }
        consumer.setAllocateMessageQueueStrategy(new Reported());
        setModel(arguments.text("model", "clustering").toUpperCase());
    }

    @Override
    public void start() throws Exception {
        for (String topic : arguments.text("topic").split(",")) {
            if (arguments.has("sql")) {
                consumer.subscribe(topic, MessageSelector.bySql(arguments.text("sql")));
            } else {
                consumer.subscribe(topic, arguments.text("tags", "*"));
            }
        }
        if (arguments.text("order", "concurrent").equals("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) ->
                take(messages, context.getMessageQueue(), true)
                    ? ConsumeOrderlyStatus.SUCCESS
                    : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
                take(messages, context.getMessageQueue(), false)
                    ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS
                    : ConsumeConcurrentlyStatus.RECONSUME_LATER);
        }
        if (arguments.has("reply")) {
            replier = new DefaultMQProducer(arguments.text("group") + "-replier");
            replier.setNamesrvAddr(arguments.text("namesrv"));
            replier.setInstanceName(arguments.text("instance") + "-replier");
            replier.setSendMsgTimeout(15000);
            replier.start();
        }
        consumer.start();
    }

    @Override
    public void command(Line line) {
        if (!line.verb.equals("commit")) {
            throw new IllegalArgumentException("unknown command " + line.verb);
        }
        // What its timer does every few seconds, but not in the first ten.
        consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
    }

    @Override
    public void stop() {
        consumer.shutdown();
        if (replier != null) {
            replier.shutdown();
        }
    }

    /** Reports the messages; false if they are to be delivered again. */
    private boolean take(List<MessageExt> messages, MessageQueue queue, boolean orderly) {
        boolean taken = true;
        for (MessageExt message : messages) {
            int earlier = orderly ? attempts.merge(message.getMsgId(), 1, Integer::sum) - 1 : message.getReconsumeTimes();
            boolean ok = earlier >= failures;
            taken &= ok;
            events.send(Received.of(message, queue.getBrokerName()).put("ok", ok));
            if (replier != null) {
                reply(message);
            }
        }
        if (pauseMillis > 0) {
            try {
                Thread.sleep(pauseMillis);
            } catch (InterruptedException stopped) {
                Thread.currentThread().interrupt();
            }
        }
        return taken;
    }

    private void reply(MessageExt request) {
        try {
            byte[] body = arguments.text("reply").getBytes(StandardCharsets.UTF_8);
            replier.send(MessageUtil.createReplyMessage(request, body));
        } catch (Exception failure) {
            events.send(Event.failed(failure));
        }
    }

    /** Settings that only 5.x has. */
    private void set(String setter, Class<?> type, Object value) {
        try {
            DefaultMQPushConsumer.class.getMethod(setter, type).invoke(consumer, value);
        } catch (ReflectiveOperationException failure) {
            throw new IllegalStateException(failure);
        }
    }

    /** MessageModel lives in different packages in 4.x and 5.x; the setter is the same. */
    private void setModel(String name) {
        for (Method method : DefaultMQPushConsumer.class.getMethods()) {
            if (method.getName().equals("setMessageModel")) {
                for (Object model : method.getParameterTypes()[0].getEnumConstants()) {
                    if (((Enum<?>) model).name().equals(name)) {
                        try {
                            method.invoke(consumer, model);
                            return;
                        } catch (ReflectiveOperationException failure) {
                            throw new IllegalStateException(failure);
                        }
                    }
                }
            }
        }
        throw new IllegalArgumentException("unknown model " + name);
    }

    /** The stock average strategy, which also tells what it gave us. */
    private final class Reported implements AllocateMessageQueueStrategy {
        private final AllocateMessageQueueAveragely stock = new AllocateMessageQueueAveragely();
        private final Map<String, List<Integer>> last = new ConcurrentHashMap<>();

        @Override
        public List<MessageQueue> allocate(String group, String clientId, List<MessageQueue> all, List<String> clients) {
            List<MessageQueue> mine = stock.allocate(group, clientId, all, clients);
            if (all.isEmpty() || all.get(0).getTopic().startsWith("%RETRY%")) {
                return mine;
            }
            List<Integer> ids = new ArrayList<>();
            mine.forEach(queue -> ids.add(queue.getQueueId()));
            String topic = all.get(0).getTopic();
            if (!ids.equals(last.put(topic, ids))) {
                events.send(Event.of("assigned").put("topic", topic).put("queues", ids).put("members", clients.size()));
            }
            return mine;
        }

        @Override
        public String getName() {
            return stock.getName();
        }
    }
}
