package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// pusher is a push consumer that can be told to fail each message's first deliveries (`fail=n`), and to reply to each
// (`reply=text`).
type pusher struct {
	consumer  rocketmq.PushConsumer
	replier   rocketmq.Producer // Sends the replies, if there are to be any.
	arguments line
	orderly   bool
	failures  int

	mutex sync.Mutex
	// Orderly retries happen inside the client; the broker's reconsumeTimes stays behind, so we count.
	attempts map[string]int
}

func newPushConsumer(arguments line) (role, error) {
	p := &pusher{
		arguments: arguments,
		orderly:   arguments.textOr("order", "concurrent") == "orderly",
		failures:  arguments.number("fail", 0),
		attempts:  map[string]int{},
	}
	model, from := consumer.Clustering, consumer.ConsumeFromFirstOffset
	if arguments.textOr("model", "clustering") == "broadcasting" {
		model = consumer.BroadCasting
	}
	if arguments.textOr("from", "first") == "last" {
		from = consumer.ConsumeFromLastOffset
	}
	options := []consumer.Option{
		consumer.WithNameServer(strings.Split(arguments.text("namesrv"), ";")),
		consumer.WithGroupName(arguments.text("group")),
		consumer.WithInstance(arguments.text("instance")),
		consumer.WithConsumerModel(model),
		consumer.WithConsumeFromWhere(from),
		consumer.WithConsumerOrder(p.orderly),
		consumer.WithMaxReconsumeTimes(int32(arguments.number("maxReconsume", -1))),
		consumer.WithConsumeGoroutineNums(arguments.number("threads", 4)),
		consumer.WithSuspendCurrentQueueTimeMillis(100 * time.Millisecond),
		consumer.WithStrategy(reported()),
	}
	if arguments.has("namespace") {
		options = append(options, consumer.WithNamespace(arguments.text("namespace")))
	}
	var err error
	p.consumer, err = rocketmq.NewPushConsumer(options...)
	return p, err
}

func (p *pusher) start() error {
	selector := selectorOf(p.arguments)
	for _, topic := range strings.Split(p.arguments.text("topic"), ",") {
		if err := p.consumer.Subscribe(topic, selector, p.take); err != nil {
			return err
		}
	}
	if p.arguments.has("reply") {
		if err := p.startReplier(); err != nil {
			return err
		}
	}
	return p.consumer.Start()
}

func (p *pusher) startReplier() (err error) {
	p.replier, err = rocketmq.NewProducer(
		producer.WithNameServer(strings.Split(p.arguments.text("namesrv"), ";")),
		producer.WithGroupName(p.arguments.text("group")+"-replier"),
		producer.WithInstanceName(p.arguments.text("instance")+"-replier"),
		producer.WithSendMsgTimeout(15*time.Second),
	)
	if err != nil {
		return err
	}
	return p.replier.Start()
}

func (p *pusher) reply(request *primitive.MessageExt) {
	body := []byte(p.arguments.text("reply"))
	reply, err := consumer.CreateReplyMessage(request, nil)
	if err == nil {
		// The function takes a body and forgets it.
		reply.Body = body
		_, err = p.replier.SendSync(context.Background(), reply)
	}
	if err != nil {
		failed(err).send()
	}
}

// selectorOf is what the arguments say of the messages wanted: `sql=…`, or `tags=…`.
func selectorOf(arguments line) consumer.MessageSelector {
	if arguments.has("sql") {
		return consumer.MessageSelector{Type: consumer.SQL92, Expression: arguments.text("sql")}
	}
	return consumer.MessageSelector{Type: consumer.TAG, Expression: arguments.textOr("tags", "*")}
}

func (p *pusher) command(l line) error {
	if l.verb != "commit" {
		return fmt.Errorf("unknown command %s", l.verb)
	}
	// What its timer does every few seconds.
	return p.consumer.(interface{ PersistConsumerOffset() error }).PersistConsumerOffset()
}

func (p *pusher) stop() error {
	if p.replier != nil {
		if err := p.replier.Shutdown(); err != nil {
			return err
		}
	}
	return p.consumer.Shutdown()
}

func (p *pusher) take(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	taken := true
	for _, message := range messages {
		earlier := int(message.ReconsumeTimes)
		if p.orderly {
			p.mutex.Lock()
			earlier = p.attempts[message.MsgId]
			p.attempts[message.MsgId]++
			p.mutex.Unlock()
		}
		ok := earlier >= p.failures
		taken = taken && ok
		received(message, message.Queue.BrokerName).put("ok", ok).send()
		if p.replier != nil {
			p.reply(message)
		}
	}
	time.Sleep(time.Duration(p.arguments.number("pause", 0)) * time.Millisecond)
	switch {
	case taken:
		return consumer.ConsumeSuccess, nil
	case p.orderly:
		return consumer.SuspendCurrentQueueAMoment, nil
	default:
		return consumer.ConsumeRetryLater, nil
	}
}

// reported is the stock average strategy, which also tells what it gave us.
func reported() consumer.AllocateStrategy {
	var mutex sync.Mutex
	last := map[string][]int{}
	return func(group, client string, all []*primitive.MessageQueue, clients []string) []*primitive.MessageQueue {
		mine := consumer.AllocateByAveragely(group, client, all, clients)
		if len(all) == 0 || strings.HasPrefix(all[0].Topic, "%RETRY%") {
			return mine
		}
		ids := []int{}
		for _, queue := range mine {
			ids = append(ids, queue.QueueId)
		}
		mutex.Lock()
		defer mutex.Unlock()
		topic := all[0].Topic
		if before, known := last[topic]; !known || !reflect.DeepEqual(before, ids) {
			last[topic] = ids
			of("assigned").put("topic", topic).put("queues", ids).put("members", len(clients)).send()
		}
		return mine
	}
}
