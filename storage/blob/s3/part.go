package s3

import (
	"errors"
	"io"
	"sync"
)

// blockSize is the unit of memory that parts are made of: a short body takes
// little although a part is large.
const blockSize = 256 << 10

type block = [blockSize]byte

var blocks = sync.Pool{New: func() any { return new(block) }}

// part is the body of one request: it is filled, read as often as need be, and
// released.
type part struct {
	number int64
	spare  bool // it took one of all uploads' spare places

	mu     sync.Mutex // an early answer can leave net/http reading
	blocks []*block
	size   int
	pos    int
}

var _ io.ReadSeeker = (*part)(nil)

// fill takes of p what there is room for below limit, and returns how much.
func (b *part) fill(p []byte, limit int) int {
	taken := 0
	for taken < len(p) && b.size < limit {
		at := b.size % blockSize
		if at == 0 {
			b.blocks = append(b.blocks, blocks.Get().(*block))
		}
		last := b.blocks[len(b.blocks)-1]
		n := copy(last[at:min(blockSize, at+limit-b.size)], p[taken:])
		b.size += n
		taken += n
	}
	return taken
}

// Read implements io.Reader.
func (b *part) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pos >= b.size {
		return 0, io.EOF
	}
	at := b.pos % blockSize
	n := copy(p, b.blocks[b.pos/blockSize][at:min(blockSize, at+b.size-b.pos)])
	b.pos += n
	return n, nil
}

// Seek implements io.Seeker.
func (b *part) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += int64(b.pos)
	case io.SeekEnd:
		offset += int64(b.size)
	}
	if offset < 0 || offset > int64(b.size) {
		return 0, errors.New("seek beyond a part")
	}
	b.pos = int(offset)
	return offset, nil
}

// release gives the memory back. From then on it is read as empty.
func (b *part) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.blocks {
		blocks.Put(one)
	}
	b.blocks, b.size, b.pos = nil, 0, 0
}
