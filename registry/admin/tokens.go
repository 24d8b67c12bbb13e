package admin

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry/auth"
)

// Operations on tokens.
const (
	TokenList   Name[TokenListParams, []Token]    = "token.list"
	TokenShow   Name[TokenParams, Token]          = "token.show"
	TokenCreate Name[TokenCreateParams, NewToken] = "token.create"
	TokenRotate Name[TokenRotateParams, NewToken] = "token.rotate"
	TokenRevoke Name[TokenParams, None]           = "token.revoke"
)

// TokenListParams select tokens.
type TokenListParams struct {
	Page
	Owner string `json:"owner,omitempty" doc:"whose: user:NAME, service:NAME, or the name of a user alone; empty for your own"`
}

// TokenParams name a token by its public id.
type TokenParams struct {
	Token string `json:"token" doc:"its public id"`
}

// TokenCreateParams say what the new token is for.
type TokenCreateParams struct {
	Owner string       `json:"owner,omitempty" doc:"whose: user:NAME, service:NAME, or the name of a user alone; empty for your own"`
	Name  string       `json:"name,omitempty" doc:"what it is for, to tell it from others"`
	TTL   string       `json:"ttl,omitempty" doc:"how long it lasts: 12h, 90d; empty for as long as the server is set to"`
	Scope []auth.Scope `json:"scope,omitempty" doc:"the only repositories that it is for, and what it may do to them; empty for all that its owner may"`
}

// TokenRotateParams say which token to replace.
type TokenRotateParams struct {
	TokenParams
	TTL string `json:"ttl,omitempty" doc:"how long the new one lasts; empty for as long as the old one did"`
}

// Token is one token, without its secret.
type Token struct {
	ID       string       `json:"id" doc:"public"`
	Owner    string       `json:"owner" doc:"user:NAME, service:NAME, or workload:NAME of a trust rule"`
	Name     string       `json:"name,omitempty"`
	Scope    []auth.Scope `json:"scope,omitempty" doc:"the only repositories that it is for; absent for all that its owner may"`
	Subject  string       `json:"subject,omitempty" doc:"of the OIDC token that it was had for"`
	Created  time.Time    `json:"created"`
	Expires  time.Time    `json:"expires"`
	Revoked  time.Time    `json:"revoked,omitzero" doc:"when it ends or ended before it expires"`
	LastUsed time.Time    `json:"last_used,omitzero"`
}

func (t Token) key() string { return t.ID }

// NewToken is a token that was just made.
type NewToken struct {
	ID      string    `json:"id" doc:"public"`
	Secret  string    `json:"secret" doc:"shown here and never again"`
	Owner   string    `json:"owner"`
	Expires time.Time `json:"expires"`
}

func tokenOf(t auth.Token) Token { return Token(t) }

func newToken(t auth.Token, secret string) NewToken {
	return NewToken{ID: t.ID, Secret: secret, Owner: t.Owner, Expires: t.Expires}
}

func tokenList(ctx context.Context, env *Env, p TokenListParams) ([]Token, error) {
	list, err := env.Auth.Tokens(ctx, p.Owner, p.After, p.size())
	return convert(list, tokenOf), err
}

func tokenShow(ctx context.Context, env *Env, p TokenParams, _ Report) (Token, error) {
	t, err := env.Auth.Token(ctx, p.Token)
	return tokenOf(t), err
}

func tokenCreate(ctx context.Context, env *Env, p TokenCreateParams, _ Report) (NewToken, error) {
	ttl, err := parseLife(p.TTL)
	if err != nil {
		return NewToken{}, err
	}
	t, secret, err := env.Auth.CreateToken(ctx, auth.TokenParams{Owner: p.Owner, Name: p.Name, TTL: ttl, Scope: p.Scope})
	return newToken(t, secret), err
}

func tokenRotate(ctx context.Context, env *Env, p TokenRotateParams, _ Report) (NewToken, error) {
	ttl, err := parseLife(p.TTL)
	if err != nil {
		return NewToken{}, err
	}
	t, secret, err := env.Auth.RotateToken(ctx, p.Token, ttl)
	return newToken(t, secret), err
}

func tokenRevoke(ctx context.Context, env *Env, p TokenParams, _ Report) (None, error) {
	return None{}, env.Auth.RevokeToken(ctx, p.Token)
}

// parseLife reads how long a token lasts: 90d, 12h, 30m; "" is 0, the usual.
func parseLife(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
		if n > 100*366 {
			d = 0
		}
	}
	if err != nil || d <= 0 {
		return 0, badParameter(err, "ttl: %.40q is not how long a token lasts, such as 90d or 12h", text)
	}
	return d, nil
}
