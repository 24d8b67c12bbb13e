package npm

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

// agree compares what a publish request says of a version with the
// package.json in its tarball, both in normal form, in all that decides what
// an installation brings and runs. Who reads the one must not be misled about
// the other. It returns MANIFEST_INVALID.
func agree(request, tarball object) error {
	differ := func(what, in, is string) error {
		return artifacttypes.Invalid("the publish request and the tarball's package.json differ in %s: %s there, %s in the tarball. "+
			"Publish what `npm pack` made of the package", what, orNothing(in), orNothing(is))
	}
	for _, key := range []string{"name", "version"} {
		a, _ := text(request.get(key))
		if b, _ := text(tarball.get(key)); a != b {
			return differ(key, a, b)
		}
	}
	bundled, _ := elements(tarball.get("bundleDependencies"))
	for _, key := range []string{"dependencies", "optionalDependencies", "peerDependencies"} {
		a, b := table(request.get(key)), table(tarball.get(key))
		if key == "dependencies" {
			for _, e := range bundled { // npm lists them, too
				if name, _ := text(e); a[name] == "*" && b[name] == "" {
					delete(a, name)
				}
			}
		}
		if name, ok := difference(a, b, sameRange); ok {
			return differ(key+"."+clip(name), a[name], b[name])
		}
	}
	// npm lists the files of the folder directories.bin as commands.
	directories, _ := fields(tarball.get("directories"))
	if tarball.get("bin") != nil || directories.get("bin") == nil {
		a, b := table(request.get("bin")), table(tarball.get("bin"))
		if name, ok := difference(a, b, func(a, b string) bool { return a == b }); ok {
			return differ("bin."+clip(name), a[name], b[name])
		}
	}
	for _, name := range []string{"preinstall", "install", "postinstall"} {
		a, b := script(request, name), script(tarball, name)
		// npm adds the one that a gyp file asks for.
		added := name == "install" && a == nodeGyp && b == "" && script(tarball, "preinstall") == ""
		if a != b && !added {
			return differ("scripts."+name, a, b)
		}
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return `"` + clip(s) + `"`
}

// table is an object of texts.
func table(v json.RawMessage) map[string]string {
	o, _ := fields(v)
	m := make(map[string]string, len(o))
	for _, f := range o {
		m[f.Key], _ = text(f.Value)
	}
	return m
}

// difference returns the first key, by name, whose values are not the same.
func difference(a, b map[string]string, same func(a, b string) bool) (string, bool) {
	var keys []string
	for k := range a {
		if v, ok := b[k]; !ok || !same(a[k], v) {
			keys = append(keys, k)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return "", false
	}
	return slices.Min(keys), true
}

// sameRange compares two ranges. npm rewrites addresses of repositories on
// well-known hosts, of which there are many spellings.
func sameRange(a, b string) bool {
	if strings.TrimSpace(a) == strings.TrimSpace(b) {
		return true
	}
	x := hosted(a)
	return x != "" && x == hosted(b)
}

var (
	hostedURL = regexp.MustCompile(`^(?:git\+)?(?:https?|ssh|git|rsync|ftp|file)://(?:[^@/]*@)?([a-z.]+)[/:]([^#]+?)(?:\.git)?/?(#.*)?$`)
	hostedSCP = regexp.MustCompile(`^(?:git\+ssh://)?git@([a-z.]+):([^#]+?)(?:\.git)?(#.*)?$`)
	shortcut  = regexp.MustCompile(`^(?:(github|gitlab|bitbucket|gist):)?([^@:#\s]+?)(?:\.git)?(#.*)?$`)
)

// hosted is the one spelling of an address of a repository, "" for what is none.
func hosted(spec string) string {
	spec = strings.TrimSpace(spec)
	hosts := map[string]string{"": "github.com", "github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org", "gist": "gist.github.com"}
	for _, form := range []*regexp.Regexp{hostedURL, hostedSCP} {
		if m := form.FindStringSubmatch(spec); m != nil {
			return strings.TrimPrefix(m[1], "www.") + "/" + m[2] + m[3]
		}
	}
	if m := shortcut.FindStringSubmatch(spec); m != nil && (m[1] != "" || strings.Count(m[2], "/") == 1) {
		return hosts[m[1]] + "/" + m[2] + m[3]
	}
	return ""
}
