package server

import (
	"net/http"
	"net/http/pprof"

	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/obs"
)

// operatorHandler serves the second listener: metrics, probes and profiles.
func operatorHandler(m *obs.Metrics, p *probes) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /-/metrics", m.Handler())
	for _, path := range []string{"/-/healthy", "/-/ready", "/livez", "/readyz", "/healthz"} {
		mux.HandleFunc(path, p.at(path))
	}
	mux.HandleFunc("/debug/pprof/", local(pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", local(pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", local(pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", local(pprof.Symbol))
	mux.HandleFunc("/debug/pprof/trace", local(pprof.Trace))
	return mux
}

// local serves this machine alone, and no page that resolved its own name to
// it: a profile shows memory, and this listener may be opened to a scraper.
func local(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !config.IsLoopbackName(hostOf(r.RemoteAddr)) || !config.IsLoopbackName(hostOf(r.Host)) {
			http.Error(w, "profiles are served to this machine alone: ask from 127.0.0.1, or through kubectl port-forward or ssh -L", http.StatusForbidden)
			return
		}
		serve(w, r)
	}
}
