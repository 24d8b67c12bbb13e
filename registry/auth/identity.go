package auth

import (
	"github.com/packhouse/packhouse/registry"
)

// Kind is what an identity is.
type Kind uint8

// The kinds of identity. The zero Kind may do nothing.
const (
	_              Kind = iota
	Anonymous           // nobody who is known: what is public
	User                // a person
	ServiceAccount      // a program with an account
	Workload            // a CI job, by a trust rule
	Operator            // whoever has the data directory: everything
	Open                // everybody, while the registry is open: everything
)

var kindNames = [...]string{"none", "anonymous", "user", "service", "workload", "operator", "open"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "none"
}

// Identity is somebody whose credentials were checked. It is shared and never
// changes; what it may do is looked up in the [Policy] of the moment.
type Identity struct {
	Kind Kind
	Name string // of a user, service or trust rule
	ID   int64  // its row: of principals, or of trusts for a Workload
	// Token is the public id of the token that was shown, "" for a password.
	Token   string
	Subject string // of the OIDC token behind it
	// Scope narrows what the identity may do; nil for no narrower than its
	// owner.
	Scope []Scope
	// Claims are those of a token of Docker's protocol: only what they list
	// may be done. nil for any other credential.
	Claims *Claims
	Exempt bool // rate limits do not apply
}

// String is "user:alice", "service:ci", "workload:release", "anonymous",
// "operator".
func (i *Identity) String() string {
	switch {
	case i == nil:
		return "none"
	case i.Kind == Open:
		return Anonymous.String()
	case i.Name == "":
		return i.Kind.String()
	}
	return i.Kind.String() + ":" + i.Name
}

// Scope is a part of what a token's owner may do.
type Scope struct {
	Repositories string `json:"repositories"` // glob
	Role         string `json:"role"`         // a role, or verbs, comma-separated
}

// Claims are the access that a token of Docker's protocol was given.
type Claims struct {
	Access []ClaimedAccess
}

// ClaimedAccess is one repository of [Claims]. A name is not enough: the token
// must die when somebody else gets the name.
type ClaimedAccess struct {
	Repo        registry.Repo // "" with Verbs List: the catalog
	Verbs       Verbs
	Incarnation Incarnation
}

// Incarnation tells apart what bore the same name at different times.
type Incarnation struct {
	Namespace  string // "id.incarnation" of the namespace; "" if there was none
	Creator    string // the principal that made the repository
	Repository int64  // when the repository was made, in Unix milliseconds; 0 if there was none
}
