package crash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// config is a blob that every manifest of these tests can refer to.
var config = []byte("{}")

// withConfig puts the blob config into repo.
func withConfig(t *testing.T, c *client, repo string) {
	t.Helper()
	r, err := c.putBlob(t.Context(), repo, config)
	if err != nil || r.status != http.StatusCreated {
		t.Fatalf("put the config: %v %v", r, err)
	}
}

// TestOneWinner lets 64 clients create one tag at once with If-None-Match: *.
// Exactly one gets 201, the others 412, and readers see nothing or the
// winner's bytes.
//
// Seen red: with the condition checked in a transaction before the one that
// moves the tag (18 winners).
func TestOneWinner(t *testing.T) {
	t.Parallel()
	const clients, watchers, repo = 64, 4, "race/winner"
	n := mustStart(t, filepath.Join(t.TempDir(), "data"), packhouse.Options{})
	c := newClient(n.url)
	defer c.close()
	withConfig(t, c, repo)
	rounds := size(100, 1000)
	for round := range rounds {
		tag := "v" + strconv.Itoa(round)
		start, over := make(chan struct{}), make(chan struct{})
		statuses := make([]int, clients)
		offers := make([]manifest, clients)
		var pushing, watching sync.WaitGroup
		for i := range clients {
			offers[i] = image(fmt.Sprintf("%s by %d", tag, i), nil, blobDescriptor(config))
			pushing.Go(func() {
				<-start
				r, err := c.putManifest(t.Context(), repo, tag, offers[i], http.Header{"If-None-Match": {"*"}})
				if err != nil {
					t.Error(err)
					return
				}
				statuses[i] = r.status
			})
		}
		seen := make([]map[string]bool, watchers)
		for i := range watchers {
			seen[i] = map[string]bool{}
			watching.Go(func() {
				<-start
				for {
					select {
					case <-over:
						return
					default:
						seen[i][watch(t, c, repo, tag)] = true
					}
				}
			})
		}
		close(start)
		pushing.Wait()
		close(over)
		watching.Wait()

		winner, winners := "", 0
		for i, s := range statuses {
			switch s {
			case http.StatusCreated:
				winner, winners = offers[i].digest, winners+1
			case http.StatusPreconditionFailed:
			default:
				t.Errorf("round %d: status %d, want 201 or 412", round, s)
			}
		}
		if got := watch(t, c, repo, tag); winners != 1 || got != winner {
			t.Fatalf("round %d: %d winners, last %s; the tag is %s", round, winners, winner, got)
		}
		for _, digests := range seen {
			for d := range digests {
				if d != "" && d != winner {
					t.Fatalf("round %d: a reader saw %s, the winner is %s", round, d, winner)
				}
			}
		}
	}
	t.Logf("%d rounds of %d clients: one winner each", rounds, clients)
}

// watch reads a tag and returns its digest, "" for absent. The answer must be
// of one piece.
func watch(t *testing.T, c *client, repo, tag string) string {
	got, err := c.manifest(t.Context(), repo, tag)
	switch {
	case err != nil:
		t.Error(err)
	case got.status == http.StatusNotFound:
	case got.status != http.StatusOK || got.header.Get("Docker-Content-Digest") != got.digest:
		t.Errorf("status %d, Docker-Content-Digest %q, bytes %s", got.status, got.header.Get("Docker-Content-Digest"), got.digest)
	default:
		return got.digest
	}
	return ""
}

// TestCounter lets 16 clients count by read, add one, If-Match: no step is lost.
//
// Seen red: with the condition checked in a transaction before the one that
// moves the tag (258 of 400 steps counted).
func TestCounter(t *testing.T) {
	t.Parallel()
	const clients, repo, tag = 16, "race/counter", "n"
	steps := size(25, 500)
	n := mustStart(t, filepath.Join(t.TempDir(), "data"), packhouse.Options{})
	c := newClient(n.url)
	defer c.close()
	withConfig(t, c, repo)
	if r, err := c.putManifest(t.Context(), repo, tag, image("0", nil, blobDescriptor(config)), nil); err != nil || r.status != http.StatusCreated {
		t.Fatalf("put the counter: %v %v", r, err)
	}
	var all sync.WaitGroup
	refused := make([]int, clients)
	for i := range clients {
		all.Go(func() {
			for done := 0; done < steps; {
				value, digest, err := count(t, c, repo, tag)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := c.putManifest(t.Context(), repo, tag, image(strconv.Itoa(value+1), nil, blobDescriptor(config)), http.Header{"If-Match": {`"` + digest + `"`}})
				switch {
				case err != nil:
					t.Error(err)
					return
				case r.status == http.StatusCreated:
					done++
				case r.status == http.StatusPreconditionFailed:
					refused[i]++
				default:
					t.Errorf("unexpected answer: %s", r)
					return
				}
			}
		})
	}
	all.Wait()
	total := 0
	for _, r := range refused {
		total += r
	}
	if value, _, err := count(t, c, repo, tag); err != nil || value != clients*steps {
		t.Fatalf("the counter is %d after %d steps: %v", value, clients*steps, err)
	}
	t.Logf("%d steps by %d clients, %d refused and tried again", clients*steps, clients, total)
}

func count(t *testing.T, c *client, repo, tag string) (value int, digest string, err error) {
	got, err := c.manifest(t.Context(), repo, tag)
	if err != nil {
		return 0, "", err
	}
	var d document
	if err := json.Unmarshal(got.body, &d); err != nil {
		return 0, "", fmt.Errorf("status %d: %w", got.status, err)
	}
	value, err = strconv.Atoi(d.Annotations["nonce"])
	return value, got.digest, err
}
