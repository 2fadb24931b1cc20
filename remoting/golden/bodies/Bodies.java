import com.alibaba.fastjson2.JSONWriter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.message.MessageQueueForC;
import org.apache.rocketmq.remoting.protocol.DataVersion;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.admin.*;
import org.apache.rocketmq.remoting.protocol.body.*;
import org.apache.rocketmq.remoting.protocol.header.GetConsumerListByGroupResponseBody;
import org.apache.rocketmq.remoting.protocol.heartbeat.*;
import org.apache.rocketmq.remoting.protocol.route.*;
import org.apache.rocketmq.remoting.protocol.statictopic.*;
import org.apache.rocketmq.remoting.protocol.subscription.*;
import org.apache.rocketmq.broker.schedule.DelayOffsetSerializeWrapper;

/** Prints one line per body: its class, a tab, its text as the Java release on the class path writes it. */
public class Bodies {
    static void print(Object body) {
        print(body.getClass().getSimpleName(), RemotingSerializable.toJson(body, false));
    }

    static void print(String name, String text) {
        System.out.println(name + "\t" + text);
    }

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) {
            text.append(String.format("%02x", b));
        }
        return text.toString();
    }

    public static void main(String[] args) throws Exception {
        DataVersion version = new DataVersion();
        version.setTimestamp(1700000000000L);
        version.getCounter().set(3);
        print(version);

        TopicConfig topic = new TopicConfig("T", 4, 4, 6);
        topic.setAttributes(new HashMap<>(Map.of("message.type", "NORMAL")));
        // Of names whose hashes are in order, as Java's maps then are too.
        TopicConfig plain = new TopicConfig("U", 1, 1, 6);
        print(topic);
        print(plain);
        print("line", topic.encode());
        print("line", plain.encode());
        print(new CreateTopicListRequestBody(List.of(topic)));

        RegisterBrokerBody register = new RegisterBrokerBody();
        TopicConfigAndMappingSerializeWrapper topics = register.getTopicConfigSerializeWrapper();
        topics.setDataVersion(version);
        topics.setMappingDataVersion(version);
        topics.getTopicConfigTable().put("T", topic);
        topics.getTopicConfigTable().put("U", plain);
        topics.getTopicQueueMappingInfoMap().put("T", new TopicQueueMappingInfo("T", 4, "b", 1L));
        topics.getTopicQueueMappingDetailMap().put("T", new TopicQueueMappingDetail("T", 4, "b", 1L));
        register.getFilterServerList().add("1.1.1.1:1");
        print(register);
        print("compressed", hex(register.encode(true)));

        BrokerData broker = new BrokerData("C", "b", new HashMap<>(Map.of(0L, "1.1.1.1:10911", 1L, "1.1.1.2:10911")));
        QueueData queues = new QueueData();
        queues.setBrokerName("b");
        queues.setPerm(6);
        queues.setReadQueueNums(4);
        queues.setWriteQueueNums(4);
        TopicRouteData route = new TopicRouteData();
        route.setBrokerDatas(new ArrayList<>(List.of(broker)));
        route.setQueueDatas(new ArrayList<>(List.of(queues)));
        print(route);
        print("standard", new String(route.encode(JSONWriter.Feature.BrowserCompatible, JSONWriter.Feature.MapSortField), "UTF-8"));
        broker.setZoneName("z");
        route.setOrderTopicConf("b:4");
        route.setFilterServerTable(new HashMap<>(Map.of("1.1.1.1:1", List.of("x"))));
        print(route);

        ClusterInfo cluster = new ClusterInfo();
        cluster.setBrokerAddrTable(Map.of("b", broker));
        cluster.setClusterAddrTable(Map.of("C", Set.of("b")));
        print(cluster);
        BrokerMemberGroup members = new BrokerMemberGroup("C", "b");
        members.getBrokerAddrs().put(0L, "1.1.1.1:10911");
        GetBrokerMemberGroupResponseBody membersBody = new GetBrokerMemberGroupResponseBody();
        membersBody.setBrokerMemberGroup(members);
        print(membersBody);

        TopicList topicList = new TopicList();
        topicList.getTopicList().add("T");
        print(topicList);
        topicList.setBrokerAddr("1.1.1.1:10911");
        print(topicList);
        GroupList groupList = new GroupList();
        groupList.getGroupList().add("g");
        print(groupList);
        KVTable table = new KVTable();
        table.getTable().put("1", "a \"b\"\n\\");
        print(table);
        GetConsumerListByGroupResponseBody ids = new GetConsumerListByGroupResponseBody();
        ids.setConsumerIdList(List.of("c1"));
        print(ids);

        SubscriptionData subscription = new SubscriptionData("T", "A || B");
        subscription.setTagsSet(new LinkedHashSet<>(List.of("A", "B")));
        subscription.setCodeSet(new LinkedHashSet<>(List.of(65, 66)));
        subscription.setSubVersion(1);
        ConsumerData consumer = new ConsumerData();
        consumer.setGroupName("g");
        consumer.setConsumeType(ConsumeType.CONSUME_PASSIVELY);
        consumer.setMessageModel(MessageModel.CLUSTERING);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        consumer.getSubscriptionDataSet().add(subscription);
        ProducerData producer = new ProducerData();
        producer.setGroupName("pg");
        HeartbeatData heartbeat = new HeartbeatData();
        heartbeat.setClientID("ip@pid");
        heartbeat.getConsumerDataSet().add(consumer);
        heartbeat.getProducerDataSet().add(producer);
        print(heartbeat);
        CheckClientRequestBody check = new CheckClientRequestBody();
        check.setClientId("c");
        check.setGroup("g");
        check.setNamespace("n");
        check.setSubscriptionData(subscription);
        print(check);

        MessageQueue queue = new MessageQueue("T", "b", 0);
        MessageQueue strange = new MessageQueue("T/\u00e4'\"\\", "b", 1);
        LockBatchRequestBody lock = new LockBatchRequestBody();
        lock.setClientId("c");
        lock.setConsumerGroup("g");
        lock.getMqSet().add(queue);
        print(lock);
        UnlockBatchRequestBody unlock = new UnlockBatchRequestBody();
        unlock.setClientId("c");
        unlock.setConsumerGroup("g");
        unlock.getMqSet().add(strange);
        print(unlock);
        LockBatchResponseBody locked = new LockBatchResponseBody();
        locked.getLockOKMQSet().add(queue);
        print(locked);

        Connection connection = new Connection();
        connection.setClientAddr("1.1.1.1:2");
        connection.setClientId("c");
        connection.setLanguage(LanguageCode.JAVA);
        connection.setVersion(479);
        ConsumerConnection consumers = new ConsumerConnection();
        consumers.getConnectionSet().add(connection);
        consumers.getSubscriptionTable().put("T", subscription);
        consumers.setConsumeType(ConsumeType.CONSUME_POP);
        consumers.setMessageModel(MessageModel.BROADCASTING);
        consumers.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_TIMESTAMP);
        print(consumers);
        ProducerConnection producers = new ProducerConnection();
        producers.getConnectionSet().add(connection);
        print(producers);
        print(new ProducerTableInfo(Map.of("pg", List.of(new ProducerInfo("c", "/1.1.1.1:2", LanguageCode.JAVA, 479, 5)))));

        TopicStatsTable topicStats = new TopicStatsTable();
        topicStats.getOffsetTable().put(queue, new TopicOffset());
        topicStats.setTopicPutTps(0.05);
        print(topicStats);
        OffsetWrapper offset = new OffsetWrapper();
        offset.setBrokerOffset(5);
        ConsumeStats stats = new ConsumeStats();
        stats.getOffsetTable().put(strange, offset);
        stats.setConsumeTps(12345678.0);
        print(stats);
        ConsumeStatsList statsList = new ConsumeStatsList();
        statsList.setBrokerAddr("1.1.1.1:10911");
        statsList.setConsumeStatsList(List.of(Map.of("g", List.of(stats)), Map.of("h", List.of())));
        statsList.setTotalDiff(5);
        print(statsList);
        BrokerStatsData data = new BrokerStatsData();
        data.setStatsMinute(item(3, 0.1 + 0.2, 1e-5));
        data.setStatsHour(item(Long.MAX_VALUE, 1e7, 100));
        data.setStatsDay(item(0, 9999999.5, 0.001));
        print(data);

        ResetOffsetBody reset = new ResetOffsetBody();
        reset.setOffsetTable(new HashMap<>(Map.of(strange, 5L)));
        print(reset);
        ResetOffsetBodyForC resetForC = new ResetOffsetBodyForC();
        resetForC.setOffsetTable(List.of(new MessageQueueForC("T", "b", 0, 5)));
        print(resetForC);
        GetConsumerStatusBody status = new GetConsumerStatusBody();
        status.getMessageQueueTable().put(queue, 5L);
        status.getConsumerTable().put("c", new HashMap<>(Map.of(strange, 5L)));
        print(status);
        ConsumerOffsetSerializeWrapper offsets = new ConsumerOffsetSerializeWrapper();
        offsets.setDataVersion(version);
        offsets.getOffsetTable().put("T@g", new ConcurrentHashMap<>(Map.of(0, 5L)));
        print(offsets);
        DelayOffsetSerializeWrapper delays = new DelayOffsetSerializeWrapper();
        delays.setDataVersion(version);
        delays.getOffsetTable().put(1, 5L);
        print(delays);
        QueryCorrectionOffsetBody correction = new QueryCorrectionOffsetBody();
        correction.setCorrectionOffsets(Map.of(0, Long.MAX_VALUE));
        print(correction);

        SubscriptionGroupConfig group = new SubscriptionGroupConfig();
        group.setGroupName("g");
        print(group);
        GroupRetryPolicy policy = new GroupRetryPolicy();
        policy.setType(GroupRetryPolicyType.EXPONENTIAL);
        policy.setExponentialRetryPolicy(new ExponentialRetryPolicy());
        group.setGroupRetryPolicy(policy);
        group.setAttributes(new HashMap<>(Map.of("k", "v")));
        group.setSubscriptionDataSet(Set.of(new SimpleSubscriptionData("T", "TAG", "*", 1)));
        print(group);
        SubscriptionGroupWrapper groups = new SubscriptionGroupWrapper();
        groups.setDataVersion(version);
        groups.getSubscriptionGroupTable().put("g", group);
        groups.getForbiddenTable().put("g", new ConcurrentHashMap<>(Map.of("T", 1)));
        print(groups);
        print(new SubscriptionGroupList(List.of(group)));
        GroupForbidden forbidden = new GroupForbidden();
        forbidden.setGroup("g");
        forbidden.setTopic("T");
        forbidden.setReadable(true);
        print(forbidden);
        QuerySubscriptionResponseBody subscribed = new QuerySubscriptionResponseBody();
        subscribed.setGroup("g");
        subscribed.setTopic("T");
        subscribed.setSubscriptionData(subscription);
        print(subscribed);
    }

    static BrokerStatsItem item(long sum, double tps, double avgpt) {
        BrokerStatsItem item = new BrokerStatsItem();
        item.setSum(sum);
        item.setTps(tps);
        item.setAvgpt(avgpt);
        return item;
    }
}
