// One client role per process: `client <role> key=value …`. Commands come as lines on stdin, events leave as JSON
// lines on stdout. The end of stdin is the same as `quit`, so a client never outlives the test.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// role is what a process does with one command line; each command is answered by a `done` event.
type role interface {
	start() error
	command(line line) error
	stop() error
}

func main() {
	arguments := parse(os.Args[1:])
	rlog.SetOutputPath(arguments.text("log"))

	role, err := newRole(arguments)
	if err == nil {
		err = role.start()
	}
	if err != nil {
		failed(err).send()
		os.Exit(1)
	}
	of("ready").send()

	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		line := parseText(in.Text())
		if line.verb == "quit" {
			break
		}
		if err := role.command(line); err != nil {
			failed(err).send()
		}
		of("done").put("id", line.number("id", 0)).send()
	}
	if err := role.stop(); err != nil {
		failed(err).send()
	}
	of("stopped").send()
}

func newRole(arguments line) (role, error) {
	switch arguments.verb {
	case "producer":
		return newProducer(arguments)
	case "push":
		return newPushConsumer(arguments)
	case "pull":
		return newPullConsumer(arguments)
	default:
		return nil, fmt.Errorf("unknown role %s", arguments.verb)
	}
}
