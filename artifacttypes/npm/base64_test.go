package npm

import (
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecoder(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("The quick brown fox.", 20_000)
	for text, want := range map[string]string{
		"": "", "QQ==": "A", "QUI=": "AB", "QUJD": "ABC", "QU\nJD\r\nQQ==": "ABCA",
		base64.StdEncoding.EncodeToString([]byte(long)): long,
	} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			if got, err := io.ReadAll(newDecoder(r)); string(got) != want || err != nil {
				t.Errorf("%.20q: %d bytes, %v, want %d", text, len(got), err, len(want))
			}
		}
	}
	for _, text := range []string{"Q", "QQ=", "QQ==QUJD", "Q?==", "QUJ=D", "QUJDQ", "QQ==\nQQ=="} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			if got, err := io.ReadAll(newDecoder(r)); err == nil {
				t.Errorf("%q is decoded as %q", text, got)
			}
		}
	}
}

// FuzzDecoder: what is decoded piece by piece is what is decoded at once.
func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{"QUJD", "QQ==", "QQ=", "Q\nQ=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, wantErr := base64.StdEncoding.DecodeString(text)
		got, err := io.ReadAll(newDecoder(iotest.OneByteReader(strings.NewReader(text))))
		if (err == nil) != (wantErr == nil) || err == nil && string(got) != string(want) {
			t.Errorf("%q: %q, %v, want %q, %v", text, got, err, want, wantErr)
		}
	})
}
