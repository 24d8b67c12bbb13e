package artifacttypes

import (
	"context"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Account is what a native protocol may ask about accounts: those of one
// caller, on one feed. Packages are named by their canonical native names.
// Beside what is said of each method, those that return an error may return
// TOOMANYREQUESTS and UNAVAILABLE.
//
// What belongs to an account (its tokens) is refused to nobody with
// UNAUTHORIZED.
type Account interface {
	// Name is the caller's, "" for nobody, [Anonymous] while the registry is
	// open to everybody.
	Name(ctx context.Context) string
	Entrance
	Tokens
	Rights
}

// Entrance is how to become somebody. Nobody may ask all of it.
type Entrance interface {
	// Login returns a token for a user's name and password. It returns
	// UNAUTHORIZED, by which a wrong password and an unknown user look the same.
	Login(ctx context.Context, user, password string) (token string, err error)
	// WebLogin begins a log-in that a person ends in a browser; client is what
	// that person reads about who asks.
	WebLogin(ctx context.Context, client string) (WebLogin, error)
	// WebDone returns the token of a log-in that was begun, once, or that it is
	// still waited for. It returns UNAUTHORIZED for one that is unknown, was
	// refused, or took too long.
	WebDone(ctx context.Context, id, secret string) (token string, waiting bool, err error)
	// Exchange returns a token for the ID token of a CI job, which must be
	// meant for one of the audiences. The token may publish pkg, if that is
	// what a trust rule says. It returns UNAUTHORIZED, DENIED.
	Exchange(ctx context.Context, idToken string, audiences []string, pkg string) (token string, err error)
}

// Tokens are the caller's own.
type Tokens interface {
	// Tokens lists up to a page of them by id, after the given one. next is
	// what to go on after, "" at the end.
	Tokens(ctx context.Context, after string) (list []Token, next string, err error)
	// CreateToken makes one, which the caller's password must confirm, and
	// returns it with its text. It returns UNAUTHORIZED for another password,
	// DENIED for a caller who has none or asks for more than it may.
	CreateToken(ctx context.Context, password string, t NewToken) (Token, error)
	// RevokeToken takes away one, named by its id or text. It returns
	// NAME_UNKNOWN for one that is not the caller's.
	RevokeToken(ctx context.Context, which string) error
}

// Rights are what the caller may do, and what everybody may.
type Rights interface {
	// Allow decides, from the name alone, whether the caller may do verb to
	// exactly pkg. Handlers of uploads ask before they read what was sent; what
	// changes something asks again. It returns NAME_INVALID, UNAUTHORIZED,
	// DENIED, NAME_UNKNOWN.
	Allow(ctx context.Context, verb registry.Verb, pkg string) error
	// MayWrite tells whether the caller may publish versions of pkg.
	MayWrite(ctx context.Context, pkg string) bool
	// Public tells whether everybody may read pkg.
	Public(ctx context.Context, pkg string) bool
	// SetPublic makes pkg readable by everybody, or by whom it is granted
	// alone. It returns DENIED for who does not administer it.
	SetPublic(ctx context.Context, pkg string, public bool) error
}

// WebLogin is a log-in that was begun.
type WebLogin struct {
	Page       string // absolute URL to open in a browser; "" if there is nothing to do there
	ID, Secret string // what [Entrance.WebDone] takes
}

// Token is an access token.
type Token struct {
	ID      string // public
	Text    string // the secret when it was made; later no more than how all tokens begin
	Name    string
	Created time.Time
	Expires time.Time
	Narrow  bool // it may less than its owner
	// ReadOnly tokens may read and list, at most.
	ReadOnly bool
}

// NewToken is what to make.
type NewToken struct {
	Name     string
	Life     time.Duration // 0 for the usual
	ReadOnly bool
	Packages []string // the only ones that it is for; none for all that its owner may
}

// Anonymous is everybody's name in an open registry.
const Anonymous = "anonymous"

// openToken is everybody's token in an open registry. It grants nothing that a
// request without it is not granted, but some clients publish with one only.
const openToken = "open"

// Open is everybody's account in a registry that is open to everybody.
type Open struct{}

var _ Account = Open{}

// Name implements [Account].
func (Open) Name(context.Context) string { return Anonymous }

// Login takes any user and password.
func (Open) Login(context.Context, string, string) (string, error) { return openToken, nil }

// WebLogin needs no page: who asks is in.
func (Open) WebLogin(context.Context, string) (WebLogin, error) { return WebLogin{}, nil }

// WebDone is done.
func (Open) WebDone(context.Context, string, string) (string, bool, error) {
	return openToken, false, nil
}

// Exchange takes any ID token, which nothing depends on.
func (Open) Exchange(context.Context, string, []string, string) (string, error) {
	return openToken, nil
}

// Tokens has none.
func (Open) Tokens(context.Context, string) ([]Token, string, error) { return nil, "", nil }

// CreateToken returns DENIED.
func (Open) CreateToken(context.Context, string, NewToken) (Token, error) {
	return Token{}, notOpen("asks nobody for a token: any will do")
}

// RevokeToken has nothing to take away.
func (Open) RevokeToken(context.Context, string) error { return nil }

// Allow allows all.
func (Open) Allow(context.Context, registry.Verb, string) error { return nil }

// MayWrite implements [Rights].
func (Open) MayWrite(context.Context, string) bool { return true }

// Public implements [Rights].
func (Open) Public(context.Context, string) bool { return true }

// SetPublic returns DENIED for what is not the case.
func (Open) SetPublic(_ context.Context, _ string, public bool) error {
	if public {
		return nil
	}
	return notOpen("cannot restrict one package")
}

// notOpen refuses what an open registry has no use for.
func notOpen(why string) error {
	return registry.E("artifacttypes.Open", registry.Denied, nil, "this registry is open to everybody and %s", why)
}
