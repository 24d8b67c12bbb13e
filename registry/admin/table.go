package admin

import (
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/engine"
)

// Operations is the table.
func Operations() []Operation {
	return concat(general(), names(), accounts(), rights(), upkeep())
}

func concat(lists ...[]Operation) (all []Operation) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func general() []Operation {
	return []Operation{
		operation(Description, "GET /openapi.json", "Describe this API", Anyone(), description),
		operation(WhoAmI, "GET /whoami", "Tell who you are to the registry", SignedIn(), whoAmI),
		operation(Ref, "GET /oci-name", "Tell a package's OCI reference", Anyone(), reference),
	}
}

// names are operations on namespaces, feeds, repositories and tags.
func names() []Operation {
	const (
		namespace  = "/namespaces/{namespace}"
		feed       = "/feeds/{feed}"
		repository = "/repositories/{repo}"
	)
	ofNamespace, ofFeed, ofRepo := Needs(registry.Admin, NamespaceParams.target), Needs(registry.Admin, FeedParams.target), Needs(registry.Admin, RepoParams.target)
	return []Operation{
		listing(NamespaceList, "GET /namespaces", "List namespaces, to administrators deleted ones too", Anyone(), namespaceList),
		operation(NamespaceShow, "GET "+namespace, "Show a namespace", Needs(registry.List, NamespaceParams.target), namespaceShow),
		operation(NamespaceCreate, "POST /namespaces", "Create a namespace", Needs(registry.Admin, NamespaceCreateParams.target), namespaceCreate).created(),
		operation(NamespaceVisibility, "PUT "+namespace+"/visibility", "Say whether everybody may read a namespace", Needs(registry.Admin, NamespaceVisibilityParams.target), namespaceVisibility),
		operation(NamespaceFirstPush, "PUT "+namespace+"/first-push", "Say who makes repositories of a namespace by pushing", Needs(registry.Admin, NamespaceFirstPushParams.target), namespaceFirstPush),
		operation(NamespaceQuota, "PUT "+namespace+"/quota", "Limit what a namespace may hold", Needs(registry.Admin, everything[NamespaceQuotaParams]), namespaceQuota),
		operation(NamespaceDelete, "DELETE "+namespace, "Move a namespace and its repositories to the trash", ofNamespace, onNamespace((*engine.Engine).DeleteNamespace)),
		operation(NamespaceRestore, "POST "+namespace+"/restore", "Take a namespace and its repositories out of the trash", ofNamespace, onNamespace((*engine.Engine).RestoreNamespace)),
		operation(NamespacePurge, "POST "+namespace+"/purge", "Remove a deleted namespace's repositories for good", ofNamespace, onNamespace((*engine.Engine).PurgeNamespace)),

		listing(FeedList, "GET /feeds", "List feeds", Anyone(), feedList),
		operation(FeedShow, "GET "+feed, "Show a feed", Needs(registry.List, FeedParams.target), feedShow),
		operation(FeedCreate, "POST /feeds", "Create a feed", Needs(registry.Admin, FeedCreateParams.target), feedCreate).created(),
		operation(FeedVisibility, "PUT "+feed+"/visibility", "Say whether everybody may read a feed", Needs(registry.Admin, FeedVisibilityParams.target), feedVisibility),
		operation(FeedDelete, "DELETE "+feed, "Remove a feed that has no packages", ofFeed, feedDelete),

		listing(RepoList, "GET /repositories", "List repositories", Anyone(), repoList),
		operation(RepoShow, "GET "+repository, "Show what a repository holds", Needs(registry.Read, RepoParams.target), repoShow),
		operation(RepoCreate, "POST /repositories", "Create an empty repository", Needs(registry.Create, RepoCreateParams.target), repoCreate).created(),
		operation(RepoVisibility, "PUT "+repository+"/visibility", "Say whether everybody may read a repository", Needs(registry.Admin, RepoVisibilityParams.target), repoVisibility),
		operation(RepoDelete, "DELETE "+repository, "Move a repository to the trash", ofRepo, onRepo((*engine.Engine).DeleteRepository)),
		operation(RepoRestore, "POST "+repository+"/restore", "Take a repository out of the trash", ofRepo, onRepo((*engine.Engine).RestoreRepository)),
		operation(RepoPurge, "POST "+repository+"/purge", "Remove for good what the trash holds of a repository", ofRepo, onRepo((*engine.Engine).PurgeRepository)),
		listing(TrashList, "GET /trash", "List what can be restored, and until when", Anyone(), trashList),
		operation(Restore, "POST /restore", "Bring back a deleted tag, version, manifest or repository", Needs(registry.Overwrite, RestoreParams.target), restore),
		listing(TagHistory, "GET "+repository+"/tags/{tag}/history", "List what a tag has pointed to, the latest first", Needs(registry.Read, TagHistoryParams.target), tagHistory),
		operation(TagRestore, "POST "+repository+"/tags/{tag}/restore", "Point a tag to what it pointed to before", Needs(registry.Overwrite, TagRestoreParams.target), tagRestore),
	}
}

// accounts are operations on users, service accounts, groups and tokens.
func accounts() []Operation {
	const (
		user    = "/users/{user}"
		service = "/services/{service}"
		group   = "/groups/{group}"
		byID    = "/tokens/{token}"
	)
	ofUser, ofService, ofGroup := Needs(registry.Admin, everything[UserParams]), Needs(registry.Admin, everything[ServiceParams]), Needs(registry.Admin, everything[GroupParams])
	return []Operation{
		listing(UserList, "GET /users", "List users", Needs(registry.Admin, everything[Page]), userList),
		operation(UserShow, "GET "+user, "Show a user; users may see themselves", SignedIn(), userShow),
		operation(UserCreate, "POST /users", "Create a user", Needs(registry.Admin, everything[UserCreateParams]), userCreate).created(),
		operation(UserUpdate, "PATCH "+user, "Describe a user anew", Needs(registry.Admin, everything[UserUpdateParams]), userUpdate),
		operation(UserDisable, "POST "+user+"/disable", "Take all rights from a user", ofUser, onUser((*auth.Service).DisableUser)),
		operation(UserEnable, "POST "+user+"/enable", "Let a disabled user in again", ofUser, onUser((*auth.Service).EnableUser)),
		operation(UserDelete, "DELETE "+user, "Remove a user with its tokens and grants", ofUser, onUser((*auth.Service).DeleteUser)),
		operation(UserPassword, "PUT "+user+"/password", "Set a user's password; users may set their own", SignedIn(), userPassword),

		listing(SAList, "GET /services", "List service accounts", Needs(registry.Admin, everything[Page]), saList),
		operation(SAShow, "GET "+service, "Show a service account; it may see itself", SignedIn(), saShow),
		operation(SACreate, "POST /services", "Create a service account", Needs(registry.Admin, everything[ServiceCreateParams]), saCreate).created(),
		operation(SAUpdate, "PATCH "+service, "Describe a service account anew", Needs(registry.Admin, everything[ServiceUpdateParams]), saUpdate),
		operation(SADisable, "POST "+service+"/disable", "Take all rights from a service account", ofService, onService((*auth.Service).DisableService)),
		operation(SAEnable, "POST "+service+"/enable", "Let a disabled service account in again", ofService, onService((*auth.Service).EnableService)),
		operation(SADelete, "DELETE "+service, "Remove a service account with its tokens and grants", ofService, onService((*auth.Service).DeleteService)),

		listing(GroupList, "GET /groups", "List groups", Needs(registry.Admin, everything[Page]), groupList),
		operation(GroupShow, "GET "+group, "Show a group and who is in it", ofGroup, groupShow),
		operation(GroupCreate, "POST /groups", "Create a group", Needs(registry.Admin, everything[GroupCreateParams]), groupCreate).created(),
		operation(GroupUpdate, "PATCH "+group, "Describe a group anew", Needs(registry.Admin, everything[GroupUpdateParams]), groupUpdate),
		operation(GroupDelete, "DELETE "+group, "Remove a group with what is granted to it", ofGroup, groupDelete),
		operation(GroupAdd, "PUT "+group+"/members/{member}", "Put somebody into a group", Needs(registry.Admin, everything[MemberParams]), groupAdd),
		operation(GroupRemove, "DELETE "+group+"/members/{member}", "Take somebody out of a group", Needs(registry.Admin, everything[MemberParams]), groupRemove),

		listing(TokenList, "GET /tokens", "List tokens, without their secrets", SignedIn(), tokenList),
		operation(TokenShow, "GET "+byID, "Show a token, without its secret", SignedIn(), tokenShow),
		operation(TokenCreate, "POST /tokens", "Make a token", SignedIn(), tokenCreate).created(),
		operation(TokenRotate, "POST "+byID+"/rotate", "Replace a token by a new one; both work for a while", SignedIn(), tokenRotate).created(),
		operation(TokenRevoke, "DELETE "+byID, "End a token at once", SignedIn(), tokenRevoke),
	}
}

// rights are operations on who may do what, and the record of it.
func rights() []Operation {
	return []Operation{
		listing(GrantList, "GET /grants", "List the grants of the namespaces that you administer", SignedIn(), grantList),
		operation(GrantAdd, "POST /grants", "Give a role, or deny it", Needs(registry.Admin, func(p GrantAddParams) (registry.Repo, error) { return boundTo(p.Namespace) }), grantAdd).created(),
		operation(GrantRemove, "DELETE /grants/{grant}", "Take back what was granted or denied", SignedIn(), grantRemove),
		listing(TrustList, "GET /trusts", "List the trust rules of the namespaces that you administer", SignedIn(), trustList),
		operation(TrustAdd, "POST /trusts", "Trust the jobs of a CI system", Needs(registry.Admin, func(p TrustAddParams) (registry.Repo, error) { return boundTo(p.Namespace) }), trustAdd).created(),
		operation(TrustRemove, "DELETE /trusts/{trust}", "Remove a trust rule, and end the tokens that were had by it", SignedIn(), trustRemove),
		operation(Can, "GET /can", "Tell whether somebody may do something, and why", SignedIn(), can),
		operation(AccessExport, "GET /access", "Write the present state of access as a file", Needs(registry.Admin, everything[None]), accessExport),
		operation(AccessApply, "POST /access", "Make access what a file says", Needs(registry.Admin, everything[AccessApplyParams]), accessApply).long(),
		listing(AuditList, "GET /audit", "List what was done", Needs(registry.Admin, audited), auditList),
		operation(AuditVerify, "POST /audit/verify", "Find out whether records were changed or removed", Needs(registry.Admin, everything[AuditVerifyParams]), auditVerify).long(),
	}
}

// upkeep are operations on the registry as a whole.
func upkeep() []Operation {
	return []Operation{
		operation(GC, "POST /gc", "Remove what nothing can need any more", Needs(registry.Admin, everything[GCParams]), collect).long(),
		operation(Fsck, "POST /fsck", "Check every stored byte and every reference", Needs(registry.Admin, everything[FsckParams]), check).long(),
		operation(Adopt, "POST /adopt", "Take over the distribution registry in the data directory", Needs(registry.Admin, everything[AdoptParams]), adopt).long(),
		listing(StorageContents, "GET /storage/contents", "List what the storage must have", Needs(registry.Admin, everything[ContentsParams]), storageContents),
		operation(Reindex, "POST /reindex", "Derive again what is known of packages", Needs(registry.Admin, everything[ReindexParams]), reindex).long(),
	}
}

// boundTo is the target of what goes with a namespace, "" for the whole
// registry.
func boundTo(namespace string) (registry.Repo, error) {
	if namespace == "" {
		return "", nil
	}
	return NamespaceParams{namespace}.target()
}

// audited is what the records that p selects are about.
func audited(p AuditListParams) (registry.Repo, error) {
	if base := strings.TrimSuffix(p.Repo, "/**"); base != "" {
		return registry.ParseRepo(base)
	}
	return boundTo(p.Namespace)
}
