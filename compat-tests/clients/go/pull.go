package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// puller is a pull consumer: `poll count= timeout=`, `commit` for what was polled, and
// `read queue= offset= count=`, which reads one queue from where it is told.
type puller struct {
	consumer  rocketmq.PullConsumer
	arguments line
	polled    []*consumer.ConsumeRequest
}

func newPullConsumer(arguments line) (role, error) {
	made, err := rocketmq.NewPullConsumer(
		consumer.WithNameServer(strings.Split(arguments.text("namesrv"), ";")),
		consumer.WithGroupName(arguments.text("group")),
		consumer.WithInstance(arguments.text("instance")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithPullBatchSize(int32(arguments.number("batch", 10))),
	)
	return &puller{consumer: made, arguments: arguments}, err
}

func (p *puller) start() error {
	if err := p.consumer.Subscribe(p.arguments.text("topic"), selectorOf(p.arguments)); err != nil {
		return err
	}
	return p.consumer.Start()
}

func (p *puller) command(l line) error {
	switch l.verb {
	case "poll":
		return p.poll(l.number("count", 1), time.Duration(l.number("timeout", 10000))*time.Millisecond)
	case "commit":
		for _, request := range p.polled {
			p.consumer.ACK(context.Background(), request, consumer.ConsumeSuccess)
		}
		p.polled = nil
		return p.consumer.PersistOffset(context.Background(), p.arguments.text("topic"))
	case "read":
		return p.read(l)
	default:
		return fmt.Errorf("unknown command %s", l.verb)
	}
}

func (p *puller) stop() error { return p.consumer.Shutdown() }

// poll takes messages until count have come or the time is over.
func (p *puller) poll(count int, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	for taken := 0; taken < count && time.Now().Before(end); {
		request, err := p.consumer.Poll(context.Background(), 200*time.Millisecond)
		if consumer.IsNoNewMsgError(err) {
			continue
		}
		if err != nil {
			return err
		}
		p.polled = append(p.polled, request)
		for _, message := range request.GetMsgList() {
			taken++
			received(message, request.GetMQ().BrokerName).put("ok", true).send()
		}
	}
	return nil
}

func (p *puller) read(l line) error {
	queue := &primitive.MessageQueue{
		Topic:      p.arguments.text("topic"),
		BrokerName: l.text("broker"),
		QueueId:    l.number("queue", 0),
	}
	offset, wanted := int64(l.number("offset", 0)), l.number("count", 1)
	for wanted > 0 {
		result, err := p.consumer.PullFrom(context.Background(), queue, offset, wanted)
		if err != nil {
			return err
		}
		if result.Status != primitive.PullFound {
			return fmt.Errorf("pull status %d at offset %d", result.Status, offset)
		}
		for _, message := range result.GetMessageExts() {
			wanted--
			received(message, queue.BrokerName).put("ok", true).send()
		}
		offset = result.NextBeginOffset
	}
	return nil
}
