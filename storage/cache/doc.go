// Package cache keeps values in Redis for all replicas of a registry.
//
// It is not an authority: who asks has validated the key, and a value says
// which key it belongs to. Redis may lose, delay, repeat and confuse anything,
// or be away; then Get finds nothing. What it gives back after all is what
// somebody once set under that very key.
//
// A value in Redis, under "packhouse:" and the key's hash:
//
//	byte      version
//	uvarint   length of the key, then the key
//	uvarint   length of the body, then the body
//	16 bytes  HMAC-SHA-256 of all before, cut
//
// See ADR 0018.
package cache
