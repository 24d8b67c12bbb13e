package pypi

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

const (
	wheelFile = "my_pkg-1.0-py3-none-any.whl"
	sdistFile = "my_pkg-1.0.tar.gz"
	zipFile   = "my_pkg-1.0.zip"
)

func inspectBytes(tb testing.TB, name string, content []byte) (json.RawMessage, error) {
	tb.Helper()
	return Format{}.Inspect(tb.Context(), name, "", bytes.NewReader(content), int64(len(content)))
}

func TestInspect(t *testing.T) {
	t.Parallel()
	const more = "Requires-Dist: dep>=1\nRequires-Python: >=3.8\n\n# My.Pkg\n"
	folder := "my_pkg-1.0.dist-info/"
	renamed := wheelParts("my-pkg", "1.0", more)
	for i := range renamed[1:] {
		renamed[i+1].name = strings.Replace(renamed[i+1].name, folder, "My.Pkg-1.0.dist-info/", 1)
	}
	kept := wheelParts("my-pkg", "1.0", more)
	for i := range kept {
		kept[i].stored = true
	}
	described := wheelParts("my-pkg", "1.0", more)
	for i := range described { // as a writer does that cannot go back
		described[i].flags, described[i].gap = 1<<3, "PK\x07\x08123456789012"
	}
	base := `"name":"my-pkg","version":"1.0",`
	metadata := `"metadata":{"metadata_version":"2.1","name":"my-pkg","version":"1.0","requires_python":"\u003e=3.8","requires_dist":["dep\u003e=1"]}`
	tests := []struct {
		name, file string
		content    []byte
		want       string // prefix
	}{
		{"wheel", wheelFile, wheel(t, "my-pkg", "1.0", more), `{"kind":"wheel",` + base + `"python":"py3",` + metadata + `,"metadata_sha256":"`},
		{"wheel, stored", wheelFile, zipped(t, kept...), `{"kind":"wheel",` + base + `"python":"py3",` + metadata},
		{"wheel, data descriptors", wheelFile, zipped(t, described...), `{"kind":"wheel",` + base},
		{"wheel, folder in other letters", wheelFile, zipped(t, renamed...), `{"kind":"wheel",` + base},
		{"wheel with a comment", wheelFile, commented(t, "built by hand"), `{"kind":"wheel",` + base},
		{"sdist", sdistFile, sdist(t, "my-pkg", "1.0", more), `{"kind":"sdist",` + base + metadata},
		{"sdist, folder from the root", sdistFile, tarGz(t, entry{name: "./my_pkg-1.0/PKG-INFO", content: metadataText("my-pkg", "1.0", more)}), `{"kind":"sdist",` + base},
		{"sdist, older name", "my-pkg-1.0.tar.gz", sdist(t, "my-pkg", "1.0", more), `{"kind":"sdist",` + base},
		{"sdist, PKG-INFO deeper down", sdistFile, tarGz(t, entry{name: "my_pkg-1.0/PKG-INFO", content: metadataText("my-pkg", "1.0", "")},
			entry{name: "my_pkg-1.0/my_pkg.egg-info/PKG-INFO", content: "Name: other"}), `{"kind":"sdist",` + base},
		{"sdist, links inside", sdistFile, tarGz(t, entry{name: "my_pkg-1.0/PKG-INFO", content: metadataText("my-pkg", "1.0", "")},
			entry{name: "my_pkg-1.0/a/b", kind: tar.TypeSymlink, link: "../setup.py"}), `{"kind":"sdist",` + base},
		{"sdist, zip", zipFile, zipped(t, part{name: "my_pkg-1.0/PKG-INFO", content: metadataText("my-pkg", "1.0", more)}), `{"kind":"sdist",` + base + metadata},
		{"metadata", wheelFile + ".metadata", []byte(metadataText("my-pkg", "1.0", more)), `{"kind":"metadata",` + base[:len(base)-1] + "}"},
		{"signature", sdistFile + ".asc", []byte("-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n"), `{"kind":"signature"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspectBytes(t, tt.file, tt.content)
			if err != nil || !strings.HasPrefix(string(got), tt.want) {
				t.Errorf("Inspect: %v\n%s\nwant %s…", err, got, tt.want)
			}
			if again, _ := inspectBytes(t, tt.file, tt.content); !bytes.Equal(got, again) {
				t.Errorf("inspected again: %s, then %s", got, again)
			}
		})
	}
}

// commented is a sound wheel with a comment behind its end record.
func commented(tb testing.TB, comment string) []byte {
	tb.Helper()
	content := wheel(tb, "my-pkg", "1.0", "")
	content[len(content)-2] = byte(len(comment))
	return append(content, comment...)
}

func with(parts []part, more ...part) []part { return append(slices.Clone(parts), more...) }

// changed is a sound wheel of which one member is changed.
func changed(name string, change func(*part)) []part {
	parts := wheelParts("my-pkg", "1.0", "")
	for i := range parts {
		if strings.HasSuffix(parts[i].name, name) {
			change(&parts[i])
		}
	}
	return parts
}

// hostile are archives and what must be said of each.
func hostile(tb testing.TB) []struct {
	name, file string
	content    []byte
	want       string
} {
	tb.Helper()
	sound := wheelParts("my-pkg", "1.0", "")
	whole := zipped(tb, sound...)
	info := entry{name: "my_pkg-1.0/PKG-INFO", content: metadataText("my-pkg", "1.0", "")}
	zip := func(parts ...part) []byte { return zipped(tb, parts...) }
	polyglot := tarred(tb, entry{name: "PK\x03\x04", content: "x"})
	return []struct {
		name, file string
		content    []byte
		want       string
	}{
		{"wheel: empty", wheelFile, nil, "no end record"},
		{"wheel: text", wheelFile, []byte(strings.Repeat("no zip ", 100)), "no end record"},
		{"wheel: cut off", wheelFile, whole[:len(whole)-10], "no end record"},
		{"wheel: cut off in front", wheelFile, whole[10:], "directory does not end where"},
		{"wheel: bytes in front", wheelFile, append([]byte("#!/bin/sh\n"), whole...), "directory does not end where"},
		{"wheel: bytes behind", wheelFile, append(slices.Clone(whole), "more"...), "no end record"},
		{"wheel: an end in the comment", wheelFile, commented(tb, string(endRecord(0, 0, 0, ""))), "directory does not end where"},
		{"wheel: no members", wheelFile, endRecord(0, 0, 0, ""), "no .dist-info folder"},
		{"wheel: more members than listed", wheelFile, endRecord(60000, 0, 0, ""), "fewer entries"},
		{"wheel: a member twice", wheelFile, zip(with(sound, sound[1])...), "twice"},
		{"wheel: METADATA in other letters", wheelFile, zip(with(sound, part{name: "my_pkg-1.0.dist-info/metadata", content: "x"})...), "twice, in other letters"},
		{"wheel: two folders", wheelFile, zip(with(sound, part{name: "other-1.0.dist-info/METADATA", content: "x"})...), "one .dist-info folder"},
		{"wheel: another folder", wheelFile, zip(wheelParts("other", "1.0", "")...), "instead of renaming"},
		{"wheel: another version", wheelFile, zip(wheelParts("my-pkg", "2.0", "")...), "instead of renaming"},
		{"wheel: another name inside", wheelFile, zip(changed("METADATA", func(p *part) { p.content = metadataText("other", "1.0", "") })...), "metadata is about other"},
		{"wheel: another version inside", wheelFile, zip(changed("METADATA", func(p *part) { p.content = metadataText("my-pkg", "1.1", "") })...), "metadata is about 1.1"},
		{"wheel: invalid UTF-8", wheelFile, zip(changed("METADATA", func(p *part) { p.content += "Author: \xff\n" })...), "not UTF-8"},
		{"wheel: METADATA is a link", wheelFile, zip(changed("METADATA", func(p *part) { p.mode = 0o120777 })...), "symbolic link"},
		{"wheel: huge METADATA", wheelFile, zip(changed("METADATA", func(p *part) { p.content += "\n" + strings.Repeat("x", 10<<20) })...), "larger than the 10240 KiB"},
		{"wheel: METADATA longer than it says", wheelFile, zip(changed("METADATA", func(p *part) { p.size = 10 })...), "damaged"},
		{"wheel: METADATA shorter than it says", wheelFile, zip(changed("METADATA", func(p *part) { p.size = 1000 })...), "damaged"},
		{"wheel: damaged METADATA", wheelFile, zip(changed("METADATA", func(p *part) { p.raw = []byte("no deflate") })...), "damaged"},
		{"wheel: no METADATA", wheelFile, zip(sound[0], sound[2], sound[3]), "no my_pkg-1.0.dist-info/METADATA"},
		{"wheel: no WHEEL", wheelFile, zip(sound[0], sound[1], sound[3]), "no my_pkg-1.0.dist-info/WHEEL"},
		{"wheel: no RECORD", wheelFile, zip(sound[:3]...), "no my_pkg-1.0.dist-info/RECORD"},
		{"wheel: a later format", wheelFile, zip(changed("/WHEEL", func(p *part) { p.content = "Wheel-Version: 2.0\n" })...), "1.x is understood"},
		{"wheel: leads out", wheelFile, zip(with(sound, part{name: "a/../../b"})...), "leads out"},
		{"wheel: leads out on Windows", wheelFile, zip(with(sound, part{name: `a\..\..\b`})...), "backslash"},
		{"wheel: absolute", wheelFile, zip(with(sound, part{name: "/etc/passwd"})...), "absolute"},
		{"wheel: absolute on Windows", wheelFile, zip(with(sound, part{name: "C:x"})...), "absolute"},
		{"wheel: name with a NUL", wheelFile, zip(with(sound, part{name: "a\x00b"})...), "control character"},
		{"wheel: name not UTF-8", wheelFile, zip(with(sound, part{name: "a\xffb"})...), "is not UTF-8"},
		{"wheel: no name", wheelFile, zip(with(sound, part{})...), "no name"},
		{"wheel: encrypted", wheelFile, zip(with(sound, part{name: "a", flags: 1})...), "encrypted"},
		{"wheel: another method", wheelFile, zip(with(sound, part{name: "a", method: 14})...), "method 14"},
		{"wheel: stored in fewer bytes", wheelFile, zip(with(sound, part{name: "a", content: "x", stored: true, size: 2})...), "is stored in 1 bytes but has 2"},
		{"wheel: another name in front", wheelFile, zip(changed("METADATA", func(p *part) { p.local = strings.ToLower(p.name) })...), "not what the directory says"},
		{"wheel: another size in front", wheelFile, zip(changed("METADATA", func(p *part) { p.localSize = 5 })...), "not what the directory says"},
		{"wheel: a hidden member", wheelFile, hidden(tb), "belong to no member"},
		{"wheel: a second name", wheelFile, zip(changed("__init__.py", func(p *part) { p.extra = []byte("up\x06\x00\x01\x00\x00\x00\x00x") })...), "second name"},
		{"wheel: members that overlap", wheelFile, overlapping(tb), "reaches into"},
		{"wheel: unpacks to much", wheelFile, zip(with(sound, part{name: "a", raw: make([]byte, 1<<20), size: 200 << 20})...), "more than 100 times"},
		{"wheel: unpacks to very much", wheelFile, zip(with(sound, part{
			name: "a", size: 0xffffffff, extra: []byte{1, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 0}, // 32 GiB
		})...), "20 GiB"},
		{"wheel: a tar archive, too", wheelFile, append(polyglot, zip(sound...)...), "tar archive, too"},
		{"wheel: another wheel's name", "other-1.0-py3-none-any.whl", whole, "instead of renaming"},
		{"sdist: empty", sdistFile, nil, "not a sound .tar.gz"},
		{"sdist: not compressed", sdistFile, tarred(tb, info), "not a sound .tar.gz"},
		{"sdist: compressed text", sdistFile, gzipped(tb, []byte(strings.Repeat("no tar ", 200))), "not a sound .tar.gz"},
		{"sdist: cut off", sdistFile, tarGz(tb, info)[:60], "not a sound .tar.gz"},
		{"sdist: a zip archive, too", sdistFile, append(tarGz(tb, info), endRecord(0, 0, len(tarGz(tb, info)), "")...), "zip archive, too"},
		{"sdist: goes on behind its end", sdistFile, append(tarGz(tb, info), tarGz(tb, entry{name: "x/PKG-INFO", content: "y"})...), "goes on behind its end"},
		{"sdist: no PKG-INFO", sdistFile, tarGz(tb, entry{name: "my_pkg-1.0/setup.py", content: "x"}), "no my_pkg-1.0/PKG-INFO"},
		{"sdist: PKG-INFO at the root", sdistFile, tarGz(tb, entry{name: "PKG-INFO", content: info.content}), "no my_pkg-1.0/PKG-INFO"},
		{"sdist: PKG-INFO twice", sdistFile, tarGz(tb, info, info), "more than one PKG-INFO"},
		{"sdist: PKG-INFO in two folders", sdistFile, tarGz(tb, info, entry{name: "b/PKG-INFO", content: "x"}), "more than one PKG-INFO"},
		{"sdist: PKG-INFO in other letters", sdistFile, tarGz(tb, info, entry{name: "my_pkg-1.0/pkg-info", content: "x"}), "more than one PKG-INFO"},
		{"sdist: PKG-INFO is a link", sdistFile, tarGz(tb, entry{name: info.name, kind: tar.TypeSymlink, link: "setup.cfg"}), "is no file"},
		{"sdist: the folder is a link", sdistFile, tarGz(tb, entry{name: "my_pkg-1.0", kind: tar.TypeSymlink, link: "x"}, info), "link at the root"},
		{"sdist: a link out", sdistFile, tarGz(tb, info, entry{name: "my_pkg-1.0/a", kind: tar.TypeSymlink, link: "../../b"}), "link out"},
		{"sdist: an absolute link", sdistFile, tarGz(tb, info, entry{name: "my_pkg-1.0/a", kind: tar.TypeSymlink, link: "/etc/passwd"}), "link out"},
		{"sdist: a hard link out", sdistFile, tarGz(tb, info, entry{name: "my_pkg-1.0/a", kind: tar.TypeLink, link: "../b"}), "link out"},
		{"sdist: a device", sdistFile, tarGz(tb, info, entry{name: "my_pkg-1.0/a", kind: tar.TypeChar}), "no file, folder or link"},
		{"sdist: leads out", sdistFile, tarGz(tb, info, entry{name: "my_pkg-1.0/../../a"}), "leads out"},
		{"sdist: absolute", sdistFile, tarGz(tb, info, entry{name: "/etc/passwd"}), "absolute"},
		{"sdist: huge PKG-INFO", sdistFile, tarGz(tb, entry{name: info.name, content: info.content + "\n" + strings.Repeat("x", 10<<20)}), "10 MiB"},
		{"sdist: invalid UTF-8", sdistFile, tarGz(tb, entry{name: info.name, content: info.content + "Author: \xff\n"}), "not UTF-8"},
		{"sdist: another name", sdistFile, sdist(tb, "other", "1.0", ""), "must be named other-1.0.tar.gz"},
		{"sdist: another version", sdistFile, sdist(tb, "my-pkg", "1.1", ""), "must be named my_pkg-1.1.tar.gz"},
		{"sdist: unpacks to much", sdistFile, tarBomb(tb, 128<<20), "more than 100 times"},
		{"sdist zip: PKG-INFO in two folders", zipFile, zip(part{name: "a/PKG-INFO", content: info.content}, part{name: "b/PKG-INFO", content: "x"}), "more than one PKG-INFO"},
		{"sdist zip: no PKG-INFO", zipFile, zip(part{name: "a/b"}), "no my_pkg-1.0/PKG-INFO"},
		{"sdist zip: a tar archive", zipFile, tarred(tb, info), "tar archive, too"},
		{"metadata: of another", wheelFile + ".metadata", []byte(metadataText("other", "1.0", "")), "metadata is about other"},
		{"metadata: huge", wheelFile + ".metadata", make([]byte, 11<<20), "10240 KiB"},
		{"signature: is none", sdistFile + ".asc", []byte("signed, me"), "not an ASCII-armored"},
		{"signature: huge", sdistFile + ".asc", make([]byte, 65<<10), "64 KiB"},
		{"egg", "my_pkg-1.0-py3.egg", whole, "an egg, which installers no longer take"},
		{"image", "logo.png", []byte("\x89PNG"), "neither a wheel"},
		{"no title", "", whole, "org.opencontainers.image.title"},
	}
}

// hidden has a whole member between two that the directory lists.
func hidden(tb testing.TB) []byte {
	tb.Helper()
	inner := zipped(tb, part{name: "my_pkg-1.0.dist-info/METADATA", content: "Name: evil\n"})
	return zipped(tb, changed("__init__.py", func(p *part) { p.gap = string(inner) })...)
}

// overlapping lists two members at one place.
func overlapping(tb testing.TB) []byte {
	tb.Helper()
	content := zipped(tb, with(wheelParts("my-pkg", "1.0", ""), part{name: "b"})...)
	last := bytes.LastIndex(content, []byte("PK\x01\x02"))
	copy(content[last+42:], make([]byte, 4)) // at the first member
	return content
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range hostile(t) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspectBytes(t, tt.file, tt.content)
			e, ok := errors.AsType[*registry.Error](err)
			if !ok || e.Code != registry.ManifestInvalid || !strings.Contains(e.Message, tt.want) {
				t.Errorf("Inspect = %s, %v, want MANIFEST_INVALID with %q", got, err, tt.want)
			}
			if ok && strings.Contains(e.Message, "\n") {
				t.Errorf("not one sentence: %q", e.Message)
			}
		})
	}
}

// TestInspectMemory reads what is made to take memory. All that is allocated
// counts, whether or not it is freed again.

func TestInspectMemory(t *testing.T) { //nolint:paralleltest // it measures
	const limit = 64 << 20
	large := wheelParts("my-pkg", "1.0", "")
	large[1].content += "\n" + strings.Repeat("x", 10<<20-len(large[1].content)-1)
	long := manyParts(0)
	for i := range 2000 {
		long = append(long, part{name: strings.Repeat("d/", 2000) + string(rune('a'+i%26)) + strings.Repeat("x", i/26), stored: true})
	}
	for _, tt := range []struct {
		name, file string
		content    []byte
		ok         bool
	}{
		{"as many members as are taken", wheelFile, zip64ed(t, manyParts(99_996)), true},
		{"a member more", wheelFile, zip64ed(t, manyParts(99_997)), false},
		{"long names", wheelFile, zipped(t, long...), true},
		{"the longest METADATA", wheelFile, zipped(t, large...), true},
		{"a tar bomb", sdistFile, tarBomb(t, 256<<20), false},
		{"many tar members", sdistFile, manyEntries(t, 100_001), false},
	} {
		t.Run(tt.name, func(t *testing.T) { //nolint:paralleltest // it measures
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := inspectBytes(t, tt.file, tt.content)
			runtime.ReadMemStats(&after)
			if (err == nil) != tt.ok {
				t.Errorf("Inspect: %v", err)
			}
			t.Logf("%d KiB were allocated", (after.TotalAlloc-before.TotalAlloc)>>10)
			if got := after.TotalAlloc - before.TotalAlloc; got > limit*allowance {
				t.Errorf("%d MiB were allocated, the limit is %d", got>>20, limit>>20)
			}
		})
	}
}

// zip64ed replaces the end record by a zip64 one.
func zip64ed(tb testing.TB, parts []part) []byte {
	tb.Helper()
	content := zipped(tb, parts...)
	end := content[len(content)-22:]
	size, offset := uint64(le32(end[12:])), uint64(le32(end[16:]))
	content = content[:len(content)-22]
	at := len(content)
	for _, v := range []struct {
		value uint64
		n     int
	}{
		{0x06064b50, 4},
		{44, 8},
		{45, 2},
		{45, 2},
		{0, 4},
		{0, 4},
		{uint64(len(parts)), 8},
		{uint64(len(parts)), 8},
		{size, 8},
		{offset, 8},
		{0x07064b50, 4},
		{0, 4},
		{uint64(at), 8},
		{1, 4},
	} {
		for i := range v.n {
			content = append(content, byte(v.value>>(8*i)))
		}
	}
	return append(content, endRecord(0xffff, 0xffffffff, 0xffffffff, "")...)
}

func manyEntries(tb testing.TB, n int) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for range n {
		if err := w.WriteHeader(&tar.Header{Name: "my_pkg-1.0/a", Typeflag: tar.TypeReg}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return gzipped(tb, out.Bytes())
}

// TestInspectStorage: a failing storage is not the client's fault.
func TestInspectStorage(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	for _, file := range []string{wheelFile, sdistFile, zipFile, wheelFile + ".metadata", sdistFile + ".asc"} {
		_, err := Format{}.Inspect(t.Context(), file, "", failing{broken}, 1000)
		if !errors.Is(err, broken) {
			t.Errorf("Inspect of %s: %v, want the storage's error", file, err)
		}
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// FuzzWheel: no archive makes Inspect panic, and what it takes it takes again.
func FuzzWheel(f *testing.F) {
	f.Add(wheel(f, "my-pkg", "1.0", ""))
	f.Add(zip64ed(f, wheelParts("my-pkg", "1.0", "")))
	f.Add(hidden(f))
	f.Add(overlapping(f))
	fuzzInspect(f, wheelFile)
}

// FuzzSdist is FuzzWheel for tar archives, compressed here so that changes
// reach them.
func FuzzSdist(f *testing.F) {
	f.Add(tarred(f, entry{name: "my_pkg-1.0/PKG-INFO", content: metadataText("my-pkg", "1.0", "")}))
	f.Add(tarred(f, entry{name: "a", kind: tar.TypeSymlink, link: "b"}))
	f.Fuzz(func(t *testing.T, content []byte) {
		packed := gzipped(t, content)
		if facts, err := inspectBytes(t, sdistFile, packed); err == nil && !json.Valid(facts) {
			t.Errorf("facts %q", facts)
		}
	})
}

func fuzzInspect(f *testing.F, file string) {
	f.Helper()
	f.Fuzz(func(t *testing.T, content []byte) {
		facts, err := inspectBytes(t, file, content)
		if err != nil {
			if _, ok := errors.AsType[*registry.Error](err); !ok && !errors.Is(err, io.EOF) {
				t.Errorf("Inspect: %v", err)
			}
			return
		}
		var decoded map[string]any
		if err := json.Unmarshal(facts, &decoded); err != nil || decoded["name"] != "my-pkg" || decoded["version"] != "1.0" {
			t.Errorf("facts %q, %v", facts, err)
		}
		if again, err := inspectBytes(t, file, content); err != nil || !cmp.Equal(facts, again) {
			t.Errorf("again: %q, %v", again, err)
		}
	})
}
