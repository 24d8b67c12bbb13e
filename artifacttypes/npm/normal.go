package npm

import (
	"bytes"
	"encoding/json"
	"path"
	"regexp"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

// nodeGyp is the install script of a package that has a gyp file and no
// install script of its own.
const nodeGyp = "node-gyp rebuild"

// ours are fields of a version that a registry sets, not its package.json.
func ours(key string) bool {
	switch key {
	case "dist", "deprecated", "readme", "readmeFilename", "hasInstallScript":
		return true
	}
	return strings.HasPrefix(key, "_")
}

// normal brings a package.json into the form that npm publishes it in, as far
// as clients read it in the registry's documents. what is it called in errors.
// It returns MANIFEST_INVALID.
func normal(what string, pkg object) (object, error) {
	pkg.drop(ours)
	name, _ := text(pkg.get("name"))
	name = strings.TrimSpace(name)
	if err := parseName(name); err != nil {
		return nil, artifacttypes.Invalid("%s: %s", what, sentence(err))
	}
	version, ok := text(pkg.get("version"))
	if !ok {
		return nil, artifacttypes.Invalid("%s has no version", what)
	}
	version, err := canonical(version)
	if err != nil {
		return nil, artifacttypes.Invalid("%s: %s", what, sentence(err))
	}
	pkg.set("name", quote(name))
	pkg.set("version", quote(version))
	if err := normalDependencies(what, &pkg); err != nil {
		return nil, err
	}
	normalBin(&pkg, name)
	normalScripts(&pkg)
	normalPeople(&pkg)
	normalLinks(&pkg)
	return pkg, nil
}

func normalDependencies(what string, pkg *object) error {
	normalBundled(pkg)
	for _, key := range []string{"dependencies", "optionalDependencies", "peerDependencies", "devDependencies"} {
		v := pkg.get(key)
		if v == nil {
			continue
		}
		deps, ok := fields(v)
		if !ok {
			if list, isList := elements(v); !(isList && len(list) == 0) && !empty(v) {
				return artifacttypes.Invalid("%s: %s is not an object of names and ranges", what, key)
			}
		}
		var kept object
		for _, d := range deps {
			if _, ok := text(d.Value); ok {
				kept = append(kept, d)
			}
		}
		setOrRemove(pkg, key, kept)
	}
	// An optional dependency is that, even if it is listed as another one, too.
	deps, _ := fields(pkg.get("dependencies"))
	optional, _ := fields(pkg.get("optionalDependencies"))
	deps.drop(func(name string) bool { return optional.get(name) != nil })
	setOrRemove(pkg, "dependencies", deps)
	return nil
}

// empty tells whether v says no more than nothing.
func empty(v json.RawMessage) bool {
	switch string(v) {
	case "null", "false", `""`:
		return true
	}
	return false
}

func setOrRemove(pkg *object, key string, value object) {
	if len(value) == 0 {
		pkg.remove(key)
		return
	}
	pkg.set(key, value.raw())
}

// normalBundled makes a list of what may be a list, an object or true.
func normalBundled(pkg *object) {
	v := pkg.get("bundleDependencies")
	if v == nil {
		v = pkg.get("bundledDependencies")
	}
	pkg.remove("bundledDependencies")
	names := []string{}
	from, isObject := fields(v)
	if string(v) == "true" {
		from, isObject = fields(pkg.get("dependencies"))
	}
	if isObject {
		for _, d := range from {
			names = append(names, d.Key)
		}
	}
	list, _ := elements(v)
	for _, e := range list {
		if s, ok := text(e); ok && s != "" {
			names = append(names, s)
		}
	}
	if len(names) == 0 {
		pkg.remove("bundleDependencies")
		return
	}
	pkg.set("bundleDependencies", encode(names))
}

// normalBin makes an object of command names and paths within the package.
func normalBin(pkg *object, name string) {
	v := pkg.get("bin")
	bin, _ := fields(v)
	if s, ok := text(v); ok && s != "" {
		bin = object{{name, v}}
	}
	list, _ := elements(v)
	for _, e := range list {
		if s, ok := text(e); ok {
			bin.set(path.Base(s), e)
		}
	}
	var clean object
	for _, b := range bin {
		target, ok := text(b.Value)
		command := path.Base(within(b.Key))
		if target = within(target); !ok || command == "." || target == "" {
			continue
		}
		clean.set(command, quote(target))
	}
	setOrRemove(pkg, "bin", clean)
}

// within is a path as it is below the package's folder, whatever it was.
func within(p string) string {
	return path.Clean("/" + strings.NewReplacer(`\`, "/", ":", "/").Replace(p))[1:]
}

// scriptPath is what npm cuts off scripts, which run with that folder in PATH.
var scriptPath = regexp.MustCompile(`^(\.[/\\])?node_modules[/\\].bin[/\\]`)

func normalScripts(pkg *object) {
	if pkg.get("scripts") == nil {
		return
	}
	scripts, _ := fields(pkg.get("scripts"))
	var kept object
	for _, s := range scripts {
		if command, ok := text(s.Value); ok {
			kept = append(kept, member{s.Key, quote(scriptPath.ReplaceAllString(command, ""))})
		}
	}
	setOrRemove(pkg, "scripts", kept)
}

func script(pkg object, name string) string {
	scripts, _ := fields(pkg.get("scripts"))
	s, _ := text(scripts.get(name))
	return s
}

// complete adds what other files of the package say.
func (s *survey) complete(pkg *object, readme string) {
	if s.gyp && script(*pkg, "install") == "" && script(*pkg, "preinstall") == "" && string(pkg.get("gypfile")) != "false" {
		scripts, _ := fields(pkg.get("scripts"))
		scripts.set("install", quote(nodeGyp))
		pkg.set("scripts", scripts.raw())
		pkg.set("gypfile", json.RawMessage("true"))
	}
	if d, ok := text(pkg.get("description")); !ok || d == "" {
		pkg.remove("description")
		if d := firstParagraph(readme); d != "" {
			pkg.set("description", quote(d))
		}
	}
	s.completeBin(pkg)
}

// completeBin lists the commands in the folder that directories.bin names.
func (s *survey) completeBin(pkg *object) {
	directories, _ := fields(pkg.get("directories"))
	dir, ok := text(directories.get("bin"))
	if !ok || pkg.get("bin") != nil {
		return
	}
	var bin object
	for _, name := range s.names {
		base, below := strings.CutPrefix(name, within(dir)+"/")
		if below && !strings.HasPrefix(base, ".") {
			bin.set(path.Base(base), quote(name))
		}
	}
	setOrRemove(pkg, "bin", bin)
}

// firstParagraph is the first text of a readme that is no heading.
func firstParagraph(readme string) string {
	const most = 1000
	var words []string
	for line := range strings.Lines(readme) {
		line = strings.TrimSpace(line)
		if line == "" && len(words) > 0 {
			break
		}
		if line != "" && (len(words) > 0 || line[0] != '#') {
			words = append(words, line)
		}
	}
	return shorten(strings.Join(words, " "), most)
}

func compact(doc json.RawMessage) json.RawMessage {
	var w bytes.Buffer
	if err := json.Compact(&w, doc); err != nil {
		return doc
	}
	return w.Bytes()
}
