package meta

import (
	"time"

	"github.com/packhouse/packhouse/registry"
)

// AccessRows is everything that decides about access, of one generation.
type AccessRows struct {
	Generation int64
	Principals []Principal
	Groups     []Group
	Members    []Member
	Grants     []Grant // none of deleted namespaces
	Trusts     []Trust // none of deleted namespaces
	Visible    []Visible
	Tokens     int64 // how many there are
}

// Principal is one user or service account.
type Principal struct {
	ID       int64
	Kind     string // user, service
	Name     string
	FullName string
	Email    string
	Source   string // local, oidc, htpasswd, ldap
	External string // oidc: issuer, space, subject
	Password string // PHC string, "" for none; not in AccessRows
	Epoch    int64
	Exempt   bool // from rate limits
	Created  time.Time
	Disabled time.Time // zero while enabled
	LastUsed time.Time // zero for never
}

// Group is one group.
type Group struct {
	ID          int64
	Name        string
	Description string
	Created     time.Time
}

// Member says that a principal is in a group.
type Member struct {
	Group, Principal int64
	Source           string // local; oidc, ldap: set anew at each log-in
}

// Grant gives or denies a role over the names that a glob matches.
type Grant struct {
	ID           int64
	NamespaceID  int64  // 0: of the whole registry
	Namespace    string // its name, "" for the root namespace and for none
	Principal    int64  // 0 for none
	Group        int64  // 0 for none; neither is everybody
	Deny         bool
	Role         string
	Repositories string // glob
	Created      time.Time
}

// Trust says which ID tokens can be exchanged for one to publish.
type Trust struct {
	ID           int64
	NamespaceID  int64 // 0: of the whole registry
	Namespace    string
	Name         string
	Issuer       string
	Audience     string            // "" for the registry's own name
	Claims       map[string]string // claim → the value it must have
	Role         string
	Repositories string // glob
	Created      time.Time
}

// Visible is one explicit setting of a namespace, feed or repository. One name
// can have two: a repository's own, and that of a namespace of the same name.
type Visible struct {
	Name   registry.Repo // "" is the root namespace
	Exact  bool          // a repository's: of this name alone, not of what is below it
	Public bool
}

// Token is one token, without its secret.
type Token struct {
	ID        string
	Principal int64 // 0 for a trust rule's
	Trust     int64
	Hash      []byte // SHA-256 of the whole text
	Name      string
	Scope     string // JSON, "" for no narrower than its owner
	Subject   string
	Epoch     int64
	Created   time.Time
	Expires   time.Time
	Revoked   time.Time // zero while it works; may lie ahead
	LastUsed  time.Time
}
