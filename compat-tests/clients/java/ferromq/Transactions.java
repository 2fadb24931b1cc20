package ferromq;

import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Ends each transaction as the message's property `local` says, and answers the broker's check with what its property
 * `check` says; any other word than `commit` and `rollback`, or none, leaves it in doubt. Checks are reported.
 */
final class Transactions implements TransactionListener {
    private final Events events;

    private Transactions(Events events) {
        this.events = events;
    }

    static TransactionMQProducer producer(String group, Events events) {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        producer.setTransactionListener(new Transactions(events));
        return producer;
    }

    @Override
    public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
        return state(message.getUserProperty("local"));
    }

    @Override
    public LocalTransactionState checkLocalTransaction(MessageExt message) {
        events.send(Event.of("checked").put("key", message.getKeys()));
        return state(message.getUserProperty("check"));
    }

    private static LocalTransactionState state(String word) {
        if ("commit".equals(word)) {
            return LocalTransactionState.COMMIT_MESSAGE;
        }
        return "rollback".equals(word) ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.UNKNOW;
    }
}
