package main

import "github.com/apache/rocketmq-client-go/v2/primitive"

// transactions ends each as the message's property `local` says, and answers the broker's check with what its property
// `check` says; any other word than `commit` and `rollback`, or none, leaves it in doubt. Checks are reported.
type transactions struct{}

func (transactions) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	return state(message.GetProperty("local"))
}

func (transactions) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	of("checked").put("key", message.GetKeys()).send()
	return state(message.GetProperty("check"))
}

func state(word string) primitive.LocalTransactionState {
	switch word {
	case "commit":
		return primitive.CommitMessageState
	case "rollback":
		return primitive.RollbackMessageState
	default:
		return primitive.UnknowState
	}
}
