package feed

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
)

// Options of a [Handler].
type Options struct {
	Formats  []artifacttypes.Format
	Engine   *engine.Engine
	Settings map[string]map[string]string // by format and key; checked
	Log      *slog.Logger
	// Accounts returns a feed's view of accounts; base is the URL of the server,
	// without a trailing slash. nil is a registry that is open to everybody.
	Accounts func(f registry.Feed, base string) artifacttypes.Account
	// Redirect and Public are those of distspec's Options, for files.
	Redirect func(r *http.Request, repo registry.Repo, d registry.Descriptor) string
	Public   func(ctx context.Context, repo registry.Repo) bool
}

// Handler serves the native protocols.
type Handler struct {
	engine   *engine.Engine
	log      *slog.Logger
	accounts func(f registry.Feed, base string) artifacttypes.Account
	redirect func(r *http.Request, repo registry.Repo, d registry.Descriptor) string
	public   func(ctx context.Context, repo registry.Repo) bool
	formats  map[string]*format
	settings map[string]map[string]string
}

type format struct {
	artifacttypes.Format
	info   artifacttypes.Info
	router *artifacttypes.Router
}

// New returns a Handler. It fails on a route without a verb, and on settings
// that no format has.
func New(o Options) (*Handler, error) {
	h := &Handler{engine: o.Engine, log: o.Log, accounts: o.Accounts, redirect: o.Redirect, public: o.Public, formats: map[string]*format{}, settings: map[string]map[string]string{}}
	if h.accounts == nil {
		h.accounts = func(registry.Feed, string) artifacttypes.Account { return artifacttypes.Open{} }
	}
	for _, f := range o.Formats {
		router, err := artifacttypes.NewRouter(f)
		if err != nil {
			return nil, err
		}
		info := f.Info()
		if h.formats[info.Name] != nil {
			return nil, fmt.Errorf("two formats are called %s", info.Name)
		}
		h.formats[info.Name] = &format{f, info, router}
		h.settings[info.Name] = map[string]string{}
		for _, s := range info.Settings {
			h.settings[info.Name][s.Key] = s.Default
		}
	}
	for name, keys := range o.Settings {
		maps.Copy(h.settings[name], keys)
	}
	return h, nil
}

// CheckSettings reports what is wrong with the settings of formats.
func CheckSettings(formats []artifacttypes.Format, settings map[string]map[string]string) []string {
	known := map[string]artifacttypes.Setting{}
	for _, f := range formats {
		info := f.Info()
		known[info.Name] = artifacttypes.Setting{}
		for _, s := range info.Settings {
			known[info.Name+"."+s.Key] = s
		}
	}
	var problems []string
	for _, name := range sortedKeys(settings) {
		if _, ok := known[name]; !ok {
			problems = append(problems, fmt.Sprintf("formats.%s: there is no such format", name))
			continue
		}
		for _, key := range sortedKeys(settings[name]) {
			s, ok := known[name+"."+key]
			if !ok {
				problems = append(problems, fmt.Sprintf("formats.%s.%s: there is no such key", name, key))
			} else if s.Check != nil {
				if err := s.Check(settings[name][key]); err != nil {
					problems = append(problems, fmt.Sprintf("formats.%s.%s: %v", name, key, err))
				}
			}
		}
	}
	return problems
}

// Target is a request that a format will serve.
type Target struct {
	h     *Handler
	f     *format
	feed  registry.Feed
	route artifacttypes.Route
	err   error // why no route serves it
}

// Find returns the target of a request, if its path is one of a feed's: below
// NAMESPACE/FORMAT, or below api/NAMESPACE/FORMAT. It looks nothing up beside
// the feeds' names, as far as this process knows them.
func (h *Handler) Find(r *http.Request) (t Target, ok bool) {
	path := r.URL.EscapedPath()
	api := strings.HasPrefix(path, "/api/")
	rest := path
	if api {
		rest = path[len("/api"):]
	}
	feed, below, ok := h.split(rest)
	if !ok {
		return Target{}, false
	}
	t = Target{h: h, f: h.formats[feed.Format], feed: feed}
	if below == "" {
		below = "/"
	}
	t.route, _, t.err = t.f.router.Match(r, below, api)
	return t, true
}

// split finds the feed that an escaped path is in: one that exists, or else
// the first that the path could be in. below starts with a slash or is empty.
func (h *Handler) split(path string) (feed registry.Feed, below string, ok bool) {
	for end := 1; end < len(path); {
		next := strings.IndexByte(path[end:], '/')
		if next < 0 {
			next = len(path) - end
		}
		segment := path[end : end+next]
		if h.formats[segment] != nil && end > 1 {
			namespace := path[1 : end-1]
			if _, err := registry.ParseRepo(namespace); err == nil && !reserved(namespace) {
				f, exists := h.engine.Feed(namespace + "/" + segment)
				if !exists {
					f = registry.Feed{Namespace: namespace, Format: segment}
				}
				if exists || !ok {
					feed, below, ok = f, path[end+next:], true
				}
				if exists {
					return feed, below, true
				}
			}
		}
		end += next + 1
	}
	return feed, below, ok
}

// reserved first segments are never namespaces.
func reserved(namespace string) bool {
	first, _, _ := strings.Cut(namespace, "/")
	switch first {
	case "v2", "token", "api", "-":
		return true
	}
	return false
}

// Format is the format's name, for labels.
func (t Target) Format() string { return t.feed.Format }

// Route is the route's name, "invalid" when none serves the request.
func (t Target) Route() string {
	if t.err != nil {
		return "invalid"
	}
	return t.route.Name
}

// Pattern is the route's pattern below the feed's URL, which begins with /api
// where api is true; "" when none serves the request.
func (t Target) Pattern() (pattern string, api bool) {
	if t.err != nil {
		return "", false
	}
	return t.route.Pattern, t.route.API
}

// Feed is what access is decided by.
func (t Target) Feed() registry.Feed { return t.feed }

// Verb is the least that the caller needs; Read where no route serves it.
func (t Target) Verb() registry.Verb {
	if t.err != nil {
		return registry.Read
	}
	return t.route.Verb
}

// Serve answers the request, or returns an error for [Target.WriteError]. base
// is the URL by which the client reaches this server, without a trailing slash.
func (t Target) Serve(w http.ResponseWriter, r *http.Request, base string) error {
	t, err := t.now(r)
	if err != nil {
		return err
	}
	if t.err != nil {
		return t.err
	}
	return t.route.Serve(w, r, &view{Target: t, server: base, base: base + "/" + t.feed.Name()})
}

// now is the target by the feeds that are there, for who may use what [Handler.Find]
// took it for: another process may have made or removed one.
func (t Target) now(r *http.Request) (Target, error) {
	if err := t.h.engine.KnowFeeds(r.Context()); err != nil {
		return t, err
	}
	now, ok := t.h.Find(r)
	if !ok || now.feed.Name() == t.feed.Name() {
		t.feed = now.feed
		return t, nil
	}
	return now, t.h.engine.Enter(r.Context(), now.Verb(), now.feed)
}

// WriteError answers in the format's own form, and logs what is our fault.
func (t Target) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	ctx := r.Context()
	if ctx.Err() != nil {
		w.WriteHeader(499) // nobody will read it; the access log shows it
		return
	}
	e := registry.Public(err)
	if e.Code.HTTPStatus() >= http.StatusInternalServerError {
		level := slog.LevelError
		if e.Code == registry.Unavailable || e.Code == registry.NoSpace {
			level = slog.LevelWarn
		}
		t.h.log.LogAttrs(ctx, level, "request could not be served", slog.String("code", string(e.Code)), slog.Any("error", err))
		if id := registry.RequestID(ctx); id != "" && e.Code == registry.Internal {
			e = &registry.Error{Code: e.Code, Message: e.Message + " (request " + id + ")"}
		}
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition", "Accept-Ranges"} {
		w.Header().Del(name)
	}
	t.f.WriteError(w, r, e)
}

// Routes lists each format's routes, in the order in which they are tried.
func (h *Handler) Routes() map[string][]artifacttypes.Route {
	routes := map[string][]artifacttypes.Route{}
	for name, f := range h.formats {
		routes[name] = f.router.Routes()
	}
	return routes
}

// RouteNames lists each format's route names, for metrics.
func (h *Handler) RouteNames() map[string][]string {
	names := map[string][]string{}
	for name, f := range h.formats {
		for _, r := range f.router.Routes() {
			names[name] = append(names[name], r.Name)
		}
	}
	return names
}
