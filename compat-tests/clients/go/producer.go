package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// sender sends: `send mode=sync|async|oneway|batch|transaction topic= key= [count=] …`, and `stream … / stop` until told
// otherwise, with `every=` no more often than every so many milliseconds, and with `cycle.name=a,b` the property `name` with the
// next of these words in each message; `request topic= key= within=` sends and waits so many milliseconds for the reply. With the
// role's argument `transactional` it sends transactions only.
type sender struct {
	producer     rocketmq.Producer
	transactions rocketmq.TransactionProducer
	stopping     chan struct{}
	stream       sync.WaitGroup
}

func newProducer(arguments line) (role, error) {
	options := []producer.Option{
		producer.WithNameServer(strings.Split(arguments.text("namesrv"), ";")),
		producer.WithGroupName(arguments.text("group")),
		producer.WithInstanceName(arguments.text("instance")),
		producer.WithSendMsgTimeout(time.Duration(arguments.number("timeout", 15000)) * time.Millisecond),
		producer.WithRetry(arguments.number("retries", 2)),
		producer.WithCompressMsgBodyOverHowmuch(arguments.number("compressOver", 4096)),
		producer.WithQueueSelector(&chosen{QueueSelector: producer.NewRoundRobinQueueSelector()}),
	}
	if arguments.has("namespace") {
		options = append(options, producer.WithNamespace(arguments.text("namespace")))
	}
	made := &sender{stopping: make(chan struct{})}
	var err error
	if arguments.has("transactional") {
		made.transactions, err = rocketmq.NewTransactionProducer(transactions{}, options...)
	} else {
		made.producer, err = rocketmq.NewProducer(options...)
	}
	return made, err
}

// chosen takes the queue a message names, otherwise what the stock selector takes.
type chosen struct{ producer.QueueSelector }

func (c *chosen) Select(message *primitive.Message, queues []*primitive.MessageQueue, last string) *primitive.MessageQueue {
	if message.Queue == nil {
		return c.QueueSelector.Select(message, queues, last)
	}
	for _, queue := range queues {
		if queue.QueueId == message.Queue.QueueId {
			return queue
		}
	}
	return nil
}

func (s *sender) start() error {
	if s.transactions != nil {
		return s.transactions.Start()
	}
	return s.producer.Start()
}

func (s *sender) command(l line) error {
	switch l.verb {
	case "send":
		return s.send(l)
	case "request":
		return s.request(l)
	case "stream":
		s.stream.Add(1)
		go s.run(l)
		return nil
	case "stop":
		s.endStream()
		return nil
	default:
		return fmt.Errorf("unknown command %s", l.verb)
	}
}

func (s *sender) stop() error {
	s.endStream()
	if s.transactions != nil {
		return s.transactions.Shutdown()
	}
	return s.producer.Shutdown()
}

func (s *sender) send(l line) error {
	made := messages(l)
	switch mode := l.textOr("mode", "sync"); mode {
	case "sync":
		for _, message := range made {
			s.sendSync(message)
		}
	case "async":
		var answered sync.WaitGroup
		for _, message := range made {
			message, began := message, time.Now() // The answer comes when the loop is further on.
			answered.Add(1)
			err := s.producer.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
				report([]string{message.GetKeys()}, result, err, began)
				answered.Done()
			}, message)
			if err != nil {
				return err
			}
		}
		answered.Wait()
	case "oneway":
		for _, message := range made {
			if err := s.producer.SendOneWay(context.Background(), message); err != nil {
				return err
			}
		}
	case "batch":
		keys := []string{}
		for _, message := range made {
			keys = append(keys, message.GetKeys())
		}
		began := time.Now()
		result, err := s.producer.SendSync(context.Background(), made...)
		report(keys, result, err, began)
	case "transaction":
		for _, message := range made {
			s.sendInTransaction(message)
		}
	default:
		return fmt.Errorf("unknown mode %s", mode)
	}
	return nil
}

func (s *sender) request(l line) error {
	for _, message := range messages(l) {
		within := time.Duration(l.number("within", 10000)) * time.Millisecond
		reply, err := s.producer.Request(context.Background(), within, message)
		if err != nil {
			return err
		}
		of("replied").put("key", message.GetKeys()).put("body", string(reply.Body)).put("properties", reply.GetProperties()).send()
	}
	return nil
}

func (s *sender) sendSync(message *primitive.Message) error {
	began := time.Now()
	result, err := s.producer.SendSync(context.Background(), message)
	report([]string{message.GetKeys()}, result, err, began)
	return err
}

func (s *sender) sendInTransaction(message *primitive.Message) error {
	began := time.Now()
	result, err := s.transactions.SendMessageInTransaction(context.Background(), message)
	if err != nil {
		report([]string{message.GetKeys()}, nil, err, began)
	} else {
		report([]string{message.GetKeys()}, result.SendResult, nil, began)
	}
	return err
}

// run sends one message after the other until `stop`; a failed key is not sent again.
func (s *sender) run(l line) {
	defer s.stream.Done()
	every, next := time.Duration(l.number("every", 0))*time.Millisecond, time.Now()
	send := s.sendSync
	if s.transactions != nil {
		send = s.sendInTransaction
	}
	for n := 0; ; n++ {
		select {
		case <-s.stopping:
			return
		default:
		}
		message := newMessage(l, fmt.Sprintf("%s-%d", l.text("key"), n))
		for name, words := range l.under("cycle.") {
			cycle := strings.Split(words, ",")
			message.WithProperty(name, cycle[n%len(cycle)])
		}
		if send(message) != nil {
			time.Sleep(50 * time.Millisecond)
		}
		// What was late is not made up for.
		next = next.Add(every)
		if now := time.Now(); next.Before(now) {
			next = now
		}
		time.Sleep(time.Until(next))
	}
}

func (s *sender) endStream() {
	close(s.stopping)
	s.stream.Wait()
	s.stopping = make(chan struct{})
}

func messages(l line) []*primitive.Message {
	if !l.has("count") {
		return []*primitive.Message{newMessage(l, l.text("key"))}
	}
	made := []*primitive.Message{}
	for n := 0; n < l.number("count", 1); n++ {
		made = append(made, newMessage(l, fmt.Sprintf("%s-%d", l.text("key"), n)))
	}
	return made
}

func newMessage(l line, key string) *primitive.Message {
	message := primitive.NewMessage(l.text("topic"), body(l, key))
	message.WithKeys([]string{key})
	if l.has("tag") {
		message.WithTag(l.text("tag"))
	}
	if l.has("delay") {
		message.WithDelayTimeLevel(l.number("delay", 0))
	}
	if l.has("queue") {
		message.Queue = &primitive.MessageQueue{QueueId: l.number("queue", 0)}
	}
	for name, value := range l.under("system.") {
		message.WithProperty(name, value)
	}
	for name, value := range l.under("prop.") {
		message.WithProperty(name, value)
	}
	return message
}

func report(keys []string, result *primitive.SendResult, err error, began time.Time) {
	if err != nil {
		failed(err).put("keys", keys).put("began", began.UnixMilli()).put("time", time.Now().UnixMilli()).send()
		return
	}
	of("sent").
		put("keys", keys).
		put("status", statusName(result.Status)).
		put("msgId", result.MsgID).
		put("offsetMsgId", result.OffsetMsgID).
		put("broker", result.MessageQueue.BrokerName).
		put("queueId", result.MessageQueue.QueueId).
		put("queueOffset", result.QueueOffset).
		put("began", began.UnixMilli()).
		put("time", time.Now().UnixMilli()).
		send()
}

// statusName spells a status as Java does.
func statusName(status primitive.SendStatus) string {
	switch status {
	case primitive.SendOK:
		return "SEND_OK"
	case primitive.SendFlushDiskTimeout:
		return "FLUSH_DISK_TIMEOUT"
	case primitive.SendFlushSlaveTimeout:
		return "FLUSH_SLAVE_TIMEOUT"
	case primitive.SendSlaveNotAvailable:
		return "SLAVE_NOT_AVAILABLE"
	default:
		return "UNKNOWN"
	}
}
