package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// event is one JSON line on stdout.
type event map[string]any

var (
	stdout sync.Mutex
	// The Go client tells the response code only inside the text of its errors.
	coded = regexp.MustCompile(`(?s)^CODE: (-?\d+),? +DESC: (.*)$`)
)

func of(name string) event { return event{"event": name} }

func failed(err error) event {
	e := of("failed").put("error", fmt.Sprintf("%T", errors.Unwrap(err))).put("remark", err.Error())
	if match := coded.FindStringSubmatch(err.Error()); match != nil {
		code, _ := strconv.Atoi(match[1])
		e.put("code", code).put("remark", match[2])
	}
	return e
}

func (e event) put(key string, value any) event {
	e[key] = value
	return e
}

func (e event) send() {
	text, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	stdout.Lock()
	defer stdout.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func received(message *primitive.MessageExt, broker string) event {
	e := of("received").
		put("key", message.GetKeys()).
		put("tag", message.GetTags()).
		put("topic", message.Topic).
		put("broker", broker).
		put("queueId", message.Queue.QueueId).
		put("queueOffset", message.QueueOffset).
		put("reconsumeTimes", message.ReconsumeTimes).
		put("msgId", message.MsgId).
		put("bornTime", message.BornTimestamp).
		put("storeTime", message.StoreTimestamp).
		put("properties", message.GetProperties())
	describe(e, message.Body)
	return e
}
