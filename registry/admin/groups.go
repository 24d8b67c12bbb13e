package admin

import (
	"context"
	"time"

	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

// Operations on groups.
const (
	GroupList   Name[Page, []Group]            = "group.list"
	GroupShow   Name[GroupParams, Group]       = "group.show"
	GroupCreate Name[GroupCreateParams, Group] = "group.create"
	GroupUpdate Name[GroupUpdateParams, None]  = "group.update"
	GroupDelete Name[GroupParams, None]        = "group.delete"
	GroupAdd    Name[MemberParams, None]       = "group.add"
	GroupRemove Name[MemberParams, None]       = "group.remove"
)

// GroupParams name a group.
type GroupParams struct {
	Group string `json:"group" doc:"the group's name"`
}

// GroupCreateParams say what the new group is.
type GroupCreateParams struct {
	GroupParams
	Description string `json:"description,omitempty"`
}

// GroupUpdateParams describe a group anew.
type GroupUpdateParams struct {
	GroupParams
	Description string `json:"description"`
}

// MemberParams name a member of a group.
type MemberParams struct {
	GroupParams
	Member string `json:"member" doc:"user:NAME, service:NAME, or the name of a user alone"`
}

// Group is one group.
type Group struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Members     []Member  `json:"members,omitempty" doc:"group.show tells them"`
	Created     time.Time `json:"created"`
}

func (g Group) key() string { return g.Name }

// Member is one of a group.
type Member struct {
	Subject string `json:"subject" doc:"user:NAME or service:NAME"`
	Source  string `json:"source" doc:"who says so: local, or oidc or ldap, which say it anew at each log-in"`
}

func groupOf(g meta.Group) Group {
	return Group{Name: g.Name, Description: g.Description, Created: g.Created}
}

func groupList(ctx context.Context, env *Env, p Page) ([]Group, error) {
	list, err := env.Auth.Groups(ctx, p.After, p.size())
	return convert(list, groupOf), err
}

func groupShow(ctx context.Context, env *Env, p GroupParams, _ Report) (Group, error) {
	row, members, err := env.Auth.Group(ctx, p.Group)
	g := groupOf(row)
	g.Members = convert(members, func(m auth.GroupMember) Member { return Member(m) })
	return g, err
}

func groupCreate(ctx context.Context, env *Env, p GroupCreateParams, _ Report) (Group, error) {
	row, err := env.Auth.CreateGroup(ctx, p.Group, p.Description)
	return groupOf(row), err
}

func groupUpdate(ctx context.Context, env *Env, p GroupUpdateParams, _ Report) (None, error) {
	return None{}, env.Auth.DescribeGroup(ctx, p.Group, p.Description)
}

func groupDelete(ctx context.Context, env *Env, p GroupParams, _ Report) (None, error) {
	return None{}, env.Auth.DeleteGroup(ctx, p.Group)
}

func groupAdd(ctx context.Context, env *Env, p MemberParams, _ Report) (None, error) {
	return None{}, env.Auth.AddMember(ctx, p.Group, p.Member)
}

func groupRemove(ctx context.Context, env *Env, p MemberParams, _ Report) (None, error) {
	return None{}, env.Auth.RemoveMember(ctx, p.Group, p.Member)
}
