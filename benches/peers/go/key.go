package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// alphabet holds the digits of Crockford's base32, by value.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	keyLength   = 29 // XXXXX-XXXXX-XXXXX-XXXXX-XXXXX
	groupLength = 5
)

var errNoKey = errors.New("not a key")

// ticketID checks a key as it is printed, both check symbols included, and returns the SHA-256 of its symbols, which is
// what its ticket is stored under.
func ticketID(key string) (id [sha256.Size]byte, err error) {
	if len(key) != keyLength {
		return id, errNoKey
	}
	symbols := make([]byte, 0, keyLength)
	// The symbols as a polynomial over GF(32), at α and at α²: zero for a key.
	var first, second byte
	for i := 0; i < keyLength; i++ {
		if i%(groupLength+1) == groupLength {
			if key[i] != '-' {
				return id, errNoKey
			}
			continue
		}
		value := strings.IndexByte(alphabet, key[i])
		if value < 0 {
			return id, errNoKey
		}
		symbols = append(symbols, key[i])
		first = timesAlpha(first) ^ byte(value)
		second = timesAlpha(timesAlpha(second)) ^ byte(value)
	}
	if first != 0 || second != 0 {
		return id, errNoKey
	}
	return sha256.Sum256(symbols), nil
}

// timesAlpha multiplies in GF(32), whose polynomial is x⁵ + x² + 1, by the class of x.
func timesAlpha(value byte) byte {
	value <<= 1
	if value&0b10_0000 != 0 {
		value ^= 0b10_0101
	}
	return value
}

func base64url(bytes []byte) string {
	return base64.RawURLEncoding.EncodeToString(bytes)
}
