// Package seal keeps secrets unreadable where they lie: AES-256-GCM (NIST SP
// 800-38D) under keys that are not in the database.
//
// It is not a vault: whoever has the key file and the database has the
// secrets. It keeps them from whoever has a copy of the database alone.
//
// Invariants:
//
//   - What was sealed opens only for the purpose and the row it was sealed
//     for: a sealed text moved to another place is refused.
//   - The first key seals, all open: keys are changed by adding one in front
//     and calling [Box.Reseal] for each row, while everything goes on.
//
// A sealed text:
//
//	1 byte    form, 1
//	8 bytes   id of the key, see [keyID]
//	12 bytes  nonce, random
//	n bytes   ciphertext
//	16 bytes  tag, over all of it and the associated data
//
// The associated data are the form, the key's id, the purpose and the row, each of
// the latter behind its length as 8 bytes, big endian.
package seal
