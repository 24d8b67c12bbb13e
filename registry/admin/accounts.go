package admin

import (
	"context"
	"time"

	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

// Operations on accounts: of people, and of programs.
const (
	UserList     Name[Page, []User]                 = "user.list"
	UserShow     Name[UserParams, User]             = "user.show"
	UserCreate   Name[UserCreateParams, User]       = "user.create"
	UserDisable  Name[UserParams, None]             = "user.disable"
	UserEnable   Name[UserParams, None]             = "user.enable"
	UserDelete   Name[UserParams, None]             = "user.delete"
	UserUpdate   Name[UserUpdateParams, None]       = "user.update"
	UserPassword Name[UserPasswordParams, None]     = "user.password"
	SAList       Name[Page, []Service]              = "sa.list"
	SAShow       Name[ServiceParams, Service]       = "sa.show"
	SAUpdate     Name[ServiceUpdateParams, None]    = "sa.update"
	SACreate     Name[ServiceCreateParams, Service] = "sa.create"
	SADisable    Name[ServiceParams, None]          = "sa.disable"
	SAEnable     Name[ServiceParams, None]          = "sa.enable"
	SADelete     Name[ServiceParams, None]          = "sa.delete"
)

// UserParams name a user.
type UserParams struct {
	User string `json:"user" doc:"the user's name"`
}

// UserCreateParams say who the new user is.
type UserCreateParams struct {
	UserParams
	FullName string `json:"full_name,omitempty"`
	Email    string `json:"email,omitempty"`
	Password string `json:"password,omitempty" doc:"empty for a user who cannot log in by one yet"`
}

// UserUpdateParams describe a user anew.
type UserUpdateParams struct {
	UserParams
	FullName *string `json:"full_name,omitempty" doc:"absent for as it is"`
	Email    *string `json:"email,omitempty" doc:"absent for as it is"`
}

// UserPasswordParams set a password.
type UserPasswordParams struct {
	UserParams
	Password string `json:"password" doc:"the new one"`
	Current  string `json:"current,omitempty" doc:"the present one, which users give to change their own"`
	Keep     bool   `json:"keep_tokens,omitempty" doc:"leave the user's tokens alone, which a new password ends otherwise"`
}

// User is one person's account.
type User struct {
	Name     string    `json:"name"`
	FullName string    `json:"full_name,omitempty"`
	Email    string    `json:"email,omitempty"`
	Source   string    `json:"source" doc:"who vouches for it: local, oidc, htpasswd or ldap"`
	Groups   []string  `json:"groups,omitempty" doc:"those the user is in; user.show tells them"`
	Created  time.Time `json:"created"`
	Disabled time.Time `json:"disabled,omitzero" doc:"since when; absent while it is enabled"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

func (u User) key() string { return u.Name }

// ServiceParams name a service account.
type ServiceParams struct {
	Service string `json:"service" doc:"the service account's name"`
}

// ServiceCreateParams say what the new service account is.
type ServiceCreateParams struct {
	ServiceParams
	Description string `json:"description,omitempty"`
	Exempt      bool   `json:"exempt,omitempty" doc:"rate limits do not apply to it"`
}

// ServiceUpdateParams describe a service account anew.
type ServiceUpdateParams struct {
	ServiceParams
	Description *string `json:"description,omitempty" doc:"absent for as it is"`
	Exempt      *bool   `json:"exempt,omitempty" doc:"rate limits do not apply to it; absent for as it is"`
}

// Service is one program's account.
type Service struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Exempt      bool      `json:"exempt,omitempty" doc:"rate limits do not apply to it"`
	Groups      []string  `json:"groups,omitempty" doc:"those it is in; sa.show tells them"`
	Created     time.Time `json:"created"`
	Disabled    time.Time `json:"disabled,omitzero" doc:"since when; absent while it is enabled"`
	LastUsed    time.Time `json:"last_used,omitzero"`
}

func (s Service) key() string { return s.Name }

func userOf(p meta.Principal) User {
	return User{
		Name: p.Name, FullName: p.FullName, Email: p.Email, Source: p.Source, Created: p.Created, Disabled: p.Disabled, LastUsed: p.LastUsed,
	}
}

func serviceOf(p meta.Principal) Service {
	return Service{
		Name: p.Name, Description: p.FullName, Exempt: p.Exempt, Created: p.Created, Disabled: p.Disabled, LastUsed: p.LastUsed,
	}
}

// groupsOf names the groups of a principal.
func groupsOf(env *Env, id int64) (names []string) {
	for _, g := range env.Auth.Policy().GroupsOf(id) {
		names = append(names, g.Name)
	}
	return names
}

func userList(ctx context.Context, env *Env, p Page) ([]User, error) {
	list, err := env.Auth.Users(ctx, p.After, p.size())
	return convert(list, userOf), err
}

func userShow(ctx context.Context, env *Env, p UserParams, _ Report) (User, error) {
	row, err := env.Auth.User(ctx, p.User)
	u := userOf(row)
	u.Groups = groupsOf(env, row.ID)
	return u, err
}

func userCreate(ctx context.Context, env *Env, p UserCreateParams, _ Report) (User, error) {
	row, err := env.Auth.CreateUser(ctx, auth.Account{Name: p.User, FullName: p.FullName, Email: p.Email, Password: p.Password})
	return userOf(row), err
}

func userUpdate(ctx context.Context, env *Env, p UserUpdateParams, _ Report) (None, error) {
	return None{}, env.Auth.ChangeUser(ctx, p.User, auth.AccountChange{FullName: p.FullName, Email: p.Email})
}

func userPassword(ctx context.Context, env *Env, p UserPasswordParams, _ Report) (None, error) {
	return None{}, env.Auth.SetPassword(ctx, p.User, p.Current, p.Password, p.Keep)
}

func onUser(do func(*auth.Service, context.Context, string) error) func(context.Context, *Env, UserParams, Report) (None, error) {
	return func(ctx context.Context, env *Env, p UserParams, _ Report) (None, error) {
		return None{}, do(env.Auth, ctx, p.User)
	}
}

func saList(ctx context.Context, env *Env, p Page) ([]Service, error) {
	list, err := env.Auth.Services(ctx, p.After, p.size())
	return convert(list, serviceOf), err
}

func saShow(ctx context.Context, env *Env, p ServiceParams, _ Report) (Service, error) {
	row, err := env.Auth.ServiceAccount(ctx, p.Service)
	s := serviceOf(row)
	s.Groups = groupsOf(env, row.ID)
	return s, err
}

func saCreate(ctx context.Context, env *Env, p ServiceCreateParams, _ Report) (Service, error) {
	row, err := env.Auth.CreateService(ctx, auth.Account{Name: p.Service, FullName: p.Description, Exempt: p.Exempt})
	return serviceOf(row), err
}

func saUpdate(ctx context.Context, env *Env, p ServiceUpdateParams, _ Report) (None, error) {
	return None{}, env.Auth.ChangeService(ctx, p.Service, auth.AccountChange{FullName: p.Description, Exempt: p.Exempt})
}

func onService(do func(*auth.Service, context.Context, string) error) func(context.Context, *Env, ServiceParams, Report) (None, error) {
	return func(ctx context.Context, env *Env, p ServiceParams, _ Report) (None, error) {
		return None{}, do(env.Auth, ctx, p.Service)
	}
}
