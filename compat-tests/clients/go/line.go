package main

import (
	"net/url"
	"strconv"
	"strings"
)

// line is `verb key=value key=value`, values percent-encoded: the form of arguments and of command lines.
type line struct {
	verb   string
	values map[string]string
}

func parseText(text string) line { return parse(strings.Fields(text)) }

func parse(words []string) line {
	parsed := line{verb: words[0], values: map[string]string{}}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		decoded, err := url.PathUnescape(value)
		if err != nil {
			panic(err)
		}
		parsed.values[key] = decoded
	}
	return parsed
}

func (l line) has(key string) bool {
	_, found := l.values[key]
	return found
}

func (l line) text(key string) string {
	if !l.has(key) {
		panic(l.verb + " needs " + key)
	}
	return l.values[key]
}

func (l line) textOr(key, otherwise string) string {
	if l.has(key) {
		return l.values[key]
	}
	return otherwise
}

func (l line) number(key string, otherwise int) int {
	if !l.has(key) {
		return otherwise
	}
	number, err := strconv.Atoi(l.values[key])
	if err != nil {
		panic(err)
	}
	return number
}

// under returns the values whose key starts with prefix, under the rest of their key.
func (l line) under(prefix string) map[string]string {
	found := map[string]string{}
	for key, value := range l.values {
		if rest := strings.TrimPrefix(key, prefix); rest != key {
			found[rest] = value
		}
	}
	return found
}
