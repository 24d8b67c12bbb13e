package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for _, tt := range []struct {
		name      string
		latencies []time.Duration
		p         int
		want      time.Duration
	}{
		{"none", nil, 99, 0},
		{"one", []time.Duration{7}, 50, 7},
		{"median of two is the lower", []time.Duration{9, 3}, 50, 3},
		{"p99 of few is the largest", []time.Duration{9, 3, 5}, 99, 9},
		{"p99 of a hundred", hundred, 99, 99},
		{"all", hundred, 100, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := percentile(append([]time.Duration(nil), tt.latencies...), tt.p); got != tt.want {
				t.Errorf("percentile(%v, %d) = %d, want %d", tt.latencies, tt.p, got, tt.want)
			}
		})
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, header, digest, want string }{
		{"continued", "/v2/a/blobs/uploads/1?state=x", "", "/v2/a/blobs/uploads/1?state=x"},
		{"closed", "/v2/a/blobs/uploads/1", "sha256:0", "/v2/a/blobs/uploads/1?digest=sha256%3A0"},
		{"closed with a query", "http://h:1/v2/a/blobs/uploads/1?state=x", "sha256:0", "/v2/a/blobs/uploads/1?state=x&digest=sha256%3A0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := location(http.Header{"Location": {tt.header}}, tt.digest)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestVerdictIsOnMedians(t *testing.T) {
	t.Parallel()
	at := func(rates ...float64) []measurement {
		var runs []measurement
		for _, rate := range rates {
			runs = append(runs, measurement{work: rate, took: time.Second})
		}
		return runs
	}
	for _, tt := range []struct {
		name string
		own  []measurement
		want string
	}{
		{"exactly the target", at(1, 20, 90), "| 2.00 × | met |"},
		{"short of it", at(19, 19, 900), "| 1.90 × | **not met** |"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r report
			r.compare(row{
				name: "x", unit: "requests", peers: []string{packhouseName, nginxName},
				runs:    map[string][]measurement{packhouseName: tt.own, nginxName: at(10, 10, 10)},
				targets: []target{{nginxName, 2}, {distributionName, 4}},
			})
			if got := strings.Join(r.verdicts, "\n"); !strings.HasSuffix(got, tt.want) || strings.Contains(got, distributionName) {
				t.Errorf("got %q, want one line that ends with %q", got, tt.want)
			}
		})
	}
}
