package main

import "hash/crc32"

// Longer bodies are reported by size and CRC-32 only.
const shownMax = 256

// body: short ones are text, long ones follow from key and size so that the test can know them too: `body=…` as given;
// else `size=…` bytes made from the key, `fill=noise` (default) or `text`; else the key.
func body(l line, key string) []byte {
	if l.has("body") {
		return []byte(l.text("body"))
	}
	if !l.has("size") {
		return []byte(key)
	}
	made := make([]byte, l.number("size", 0))
	noise := l.textOr("fill", "noise") == "noise"
	state := crc32.ChecksumIEEE([]byte(key)) | 1
	for i := range made {
		// xorshift32: nothing a compressor can shorten.
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		if noise {
			made[i] = byte(state)
		} else {
			made[i] = key[i%len(key)]
		}
	}
	return made
}

func describe(e event, body []byte) {
	e.put("size", len(body)).put("crc", crc32.ChecksumIEEE(body))
	if len(body) <= shownMax {
		e.put("body", string(body))
	}
}
