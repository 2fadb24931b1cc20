package ferromq;

import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** Sends synchronously from several threads with the stock client and prints messages per second, after a warm-up. */
public final class StockProducer {
    public static void main(String[] args) throws Exception {
        String topic = args[1];
        int threads = Integer.parseInt(args[2]);
        int messages = Integer.parseInt(args[3]);
        byte[] body = new byte[Integer.parseInt(args[4])];
        DefaultMQProducer producer = new DefaultMQProducer("bench_stock_producer");
        producer.setNamesrvAddr(args[0]);
        producer.start();
        send(producer, topic, body, threads, messages / 4);
        long begun = System.nanoTime();
        send(producer, topic, body, threads, messages);
        System.out.println("per second: " + Math.round(messages / ((System.nanoTime() - begun) / 1e9)));
        producer.shutdown();
    }

    private static void send(DefaultMQProducer producer, String topic, byte[] body, int threads, int messages) throws Exception {
        AtomicInteger left = new AtomicInteger(messages);
        Thread[] workers = new Thread[threads];
        Throwable[] failure = new Throwable[1];
        for (int i = 0; i < threads; i++) {
            workers[i] = new Thread(() -> {
                try {
                    while (left.getAndDecrement() > 0) {
                        producer.send(new Message(topic, "TagA", body));
                    }
                } catch (Throwable e) {
                    failure[0] = e;
                }
            });
            workers[i].start();
        }
        for (Thread worker : workers) {
            worker.join();
        }
        if (failure[0] != null) {
            throw new IllegalStateException("a send failed", failure[0]);
        }
    }

    private StockProducer() {}
}
