package admin

// Operations on all of access at once.
const (
	AccessExport Name[None, AccessFile]           = "access.export"
	AccessApply  Name[AccessApplyParams, Applied] = "access.apply"
)

// AccessFile says who may do what, as a file that is kept with other
// configuration: all that is not a secret. What is in it is made exactly so: a
// member that is left out means its default. What is not in it is left alone,
// or removed by pruning.
type AccessFile struct {
	Namespaces []NamespaceFile `json:"namespaces,omitempty" yaml:"namespaces,omitempty"`
	Users      []UserFile      `json:"users,omitempty" yaml:"users,omitempty"`
	Services   []ServiceFile   `json:"services,omitempty" yaml:"services,omitempty"`
	Groups     []GroupFile     `json:"groups,omitempty" yaml:"groups,omitempty"`
	Grants     []GrantFile     `json:"grants,omitempty" yaml:"grants,omitempty" doc:"over the whole registry"`
	Trusts     []TrustFile     `json:"trusts,omitempty" yaml:"trusts,omitempty" doc:"over the whole registry"`
}

// NamespaceFile is one namespace of a file.
type NamespaceFile struct {
	Name       string      `json:"name" yaml:"name" doc:"/ is the root namespace"`
	Visibility string      `json:"visibility,omitempty" yaml:"visibility,omitempty" enum:",public,private" doc:"empty for as the namespace above"`
	FirstPush  string      `json:"first_push,omitempty" yaml:"first_push,omitempty" enum:",admin" doc:"empty for who may create"`
	Quota      *Quota      `json:"quota,omitempty" yaml:"quota,omitempty" doc:"absent for no limit"`
	Grants     []GrantFile `json:"grants,omitempty" yaml:"grants,omitempty"`
	Trusts     []TrustFile `json:"trusts,omitempty" yaml:"trusts,omitempty"`
}

// UserFile is one user of a file. Passwords and tokens are never in one.
type UserFile struct {
	Name     string `json:"name" yaml:"name"`
	FullName string `json:"full_name,omitempty" yaml:"full_name,omitempty"`
	Email    string `json:"email,omitempty" yaml:"email,omitempty"`
	Disabled bool   `json:"disabled,omitempty" yaml:"disabled,omitempty"`
}

// ServiceFile is one service account of a file.
type ServiceFile struct {
	Name        string `json:"name" yaml:"name"`
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
	Exempt      bool   `json:"exempt,omitempty" yaml:"exempt,omitempty" doc:"rate limits do not apply to it"`
	Disabled    bool   `json:"disabled,omitempty" yaml:"disabled,omitempty"`
}

// GroupFile is one group of a file, with the members that are said here and
// not by another system.
type GroupFile struct {
	Name        string   `json:"name" yaml:"name"`
	Description string   `json:"description,omitempty" yaml:"description,omitempty"`
	Members     []string `json:"members,omitempty" yaml:"members,omitempty" doc:"user:NAME, service:NAME, or the name of a user alone"`
}

// GrantFile is one grant of a file.
type GrantFile struct {
	Subject      string `json:"subject" yaml:"subject" doc:"user:NAME, group:NAME, service:NAME, the name of a user alone, or anonymous"`
	Role         string `json:"role" yaml:"role"`
	Repositories string `json:"repositories,omitempty" yaml:"repositories,omitempty" doc:"pattern; empty for all of the namespace, or of the registry"`
	Deny         bool   `json:"deny,omitempty" yaml:"deny,omitempty"`
}

// TrustFile is one trust rule of a file.
type TrustFile struct {
	Name         string            `json:"name" yaml:"name"`
	Issuer       string            `json:"issuer" yaml:"issuer"`
	Audience     string            `json:"audience,omitempty" yaml:"audience,omitempty"`
	Claims       map[string]string `json:"claims" yaml:"claims"`
	Role         string            `json:"role,omitempty" yaml:"role,omitempty" doc:"empty for publisher"`
	Repositories string            `json:"repositories,omitempty" yaml:"repositories,omitempty" doc:"pattern; empty for all of the namespace"`
}

// AccessApplyParams say what to apply, and how.
type AccessApplyParams struct {
	Access AccessFile `json:"access"`
	DryRun bool       `json:"dry_run,omitempty" doc:"change nothing, say what would be changed"`
	Prune  bool       `json:"prune,omitempty" doc:"remove what the file does not name, but neither namespaces that have repositories nor the caller's own last way to administer the registry"`
}

// Applied is what a file changed, or would change.
type Applied struct {
	Changes []Change `json:"changes"`
	Kept    []string `json:"kept,omitempty" doc:"what pruning left alone, and why"`
}

// Change is one difference.
type Change struct {
	Effect string `json:"effect" enum:"+,-,~" doc:"added, removed, changed"`
	What   string `json:"what" doc:"what it is, in a line"`
}
