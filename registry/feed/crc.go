package feed

import "hash/crc32"

// combineCRC returns the CRC-32 of two texts in a row from that of each and
// the length of the second, in bytes. Appending a zero bit to a text is a
// linear map of its checksum over GF(2); squaring the map doubles the bits.
func combineCRC(first, second uint32, length int64) uint32 {
	if length == 0 {
		return first
	}
	var one matrix // appends one zero bit
	one[0] = crc32.IEEE
	for i := 1; i < len(one); i++ {
		one[i] = 1 << (i - 1)
	}
	m := one.squared().squared() // four bits
	for n := length; n > 0; n >>= 1 {
		m = m.squared() // bytes: 8, 16, 32 … bits
		if n&1 != 0 {
			first = m.times(first)
		}
	}
	return first ^ second
}

// matrix holds one column for each bit of a vector.
type matrix [32]uint32

func (m *matrix) times(v uint32) (sum uint32) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func (m *matrix) squared() *matrix {
	var s matrix
	for i := range m {
		s[i] = m.times(m[i])
	}
	return &s
}
