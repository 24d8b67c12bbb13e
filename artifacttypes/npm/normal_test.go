package npm

import (
	"strings"
	"testing"
)

func normalised(t *testing.T, doc string) (string, error) {
	t.Helper()
	pkg, ok := fields([]byte(doc))
	if !ok {
		t.Fatalf("%s is no object", doc)
	}
	pkg, err := normal("package.json", pkg)
	return string(compact(pkg.raw())), err
}

// TestNormal: what a package.json becomes is what npm 11 publishes of it, in
// the fields that clients read in documents.
func TestNormal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, doc, want string }{
		{"name and version", `"name":" @acme/w ","version":"v1.0.0+b"`, `"name":"@acme/w","version":"1.0.0"`},
		{"what a registry sets", `"_id":"x","_rev":"1","dist":{},"deprecated":"x","readme":"x","hasInstallScript":true,"gitHead":"abc"`, `"gitHead":"abc"`},
		{"bin is a text", `"bin":"./cli.js"`, `"bin":{"w":"cli.js"}`},
		{"bin is a list", `"bin":["./a.js","b/c.js",1]`, `"bin":{"a.js":"a.js","c.js":"b/c.js"}`},
		{"bin is an object", `"bin":{"../../x":"..\\..\\y.js","a":1,"":"z.js","b":"","c":"./c"}`, `"bin":{"x":"y.js","c":"c"}`},
		{"bin is nothing", `"bin":{}`, ``},
		{"bin is true", `"bin":true`, ``},
		{"optional", `"dependencies":{"a":"1","b":"2"},"optionalDependencies":{"b":"3"}`, `"dependencies":{"a":"1"},"optionalDependencies":{"b":"3"}`},
		{"all optional", `"dependencies":{"b":"2"},"optionalDependencies":{"b":"3"}`, `"optionalDependencies":{"b":"3"}`},
		{"no ranges", `"dependencies":{"a":1,"b":null,"c":"1"},"peerDependencies":{}`, `"dependencies":{"c":"1"}`},
		{"no dependencies", `"dependencies":[],"optionalDependencies":"","devDependencies":null,"peerDependencies":false`, ``},
		{"bundled misspelt", `"bundledDependencies":["a",1,""]`, `"bundleDependencies":["a"]`},
		{"bundled all", `"dependencies":{"a":"1","b":"1"},"bundleDependencies":true`, `"dependencies":{"a":"1","b":"1"},"bundleDependencies":["a","b"]`},
		{"bundled by object", `"bundleDependencies":{"a":"1"}`, `"bundleDependencies":["a"]`},
		{"bundled none", `"bundleDependencies":false`, ``},
		{"scripts", `"scripts":{"a":"./node_modules/.bin/x y","b":1,"c":"node_modules\\.bin\\z"}`, `"scripts":{"a":"x y","c":"z"}`},
		{"no scripts", `"scripts":[]`, ``},
		{"people", `"author":"Jo Doe <jo@x.y> (http://z)","contributors":["A","<b@c.d>",{"name":"C"}]`, `"author":{"name":"Jo Doe","email":"jo@x.y","url":"http://z"},"contributors":[{"name":"A"},{"email":"b@c.d"},{"name":"C"}]`},
		{"addresses", `"repository":"acme/w","bugs":"a@b.c","funding":"https://f"`, `"repository":{"type":"git","url":"git+https://github.com/acme/w.git"},"bugs":{"email":"a@b.c"},"funding":{"url":"https://f"}`},
		{"other addresses", `"repository":"https://x.example/r","bugs":"https://b"`, `"repository":{"type":"git","url":"https://x.example/r"},"bugs":{"url":"https://b"}`},
		{"keywords", `"keywords":"a, b,c d"`, `"keywords":["a","b","c","d"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			name := `"name":"w","version":"1.0.0"`
			doc, want := "{"+name+","+test.doc+"}", "{"+name+","+test.want+"}"
			if strings.Contains(test.doc, `"name":" `) {
				doc, want = "{"+test.doc+"}", "{"+test.want+"}"
			}
			got, err := normalised(t, doc)
			if want = strings.Replace(want, ",}", "}", 1); got != want || err != nil {
				t.Errorf("normal = %s, %v\nwant     %s", got, err, want)
			}
			// What is normal stays so.
			if again, err := normalised(t, got); again != got || err != nil {
				t.Errorf("again = %s, %v", again, err)
			}
		})
	}
}

func TestNormalRefuses(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"version":"1.0.0"}`:                                     "not a package name",
		`{"name":1,"version":"1.0.0"}`:                            "not a package name",
		`{"name":"w"}`:                                            "no version",
		`{"name":"w","version":1}`:                                "no version",
		`{"name":"w","version":"1"}`:                              "not a version",
		`{"name":"w","version":"1.0.0","peerDependencies":["x"]}`: "peerDependencies",
		`{"name":"w","version":"1.0.0","dependencies":"x"}`:       "dependencies",
	} {
		if _, err := normalised(t, doc); err == nil || !strings.Contains(sentence(err), want) {
			t.Errorf("%s: %v, want %q", doc, err, want)
		}
	}
}

func TestAgree(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, request, tarball, want string }{
		{"the same", `"dependencies":{"a":"1"},"bin":"x.js","scripts":{"install":"x"}`, `"dependencies":{"a":"1"},"bin":"x.js","scripts":{"install":"x"}`, ""},
		{"in another form", `"bin":{"w":"x.js"},"optionalDependencies":{"b":"1"},"dependencies":{"b":"1"}`, `"bin":"./x.js","optionalDependencies":{"b":"1"}`, ""},
		{"in what decides nothing", `"description":"a","devDependencies":{"a":"1"},"scripts":{"test":"x"}`, `"description":"b"`, ""},
		{"a hidden dependency", `"x":1`, `"dependencies":{"evil":"1"}`, "dependencies.evil"},
		{"an invented dependency", `"dependencies":{"evil":"1"}`, `"x":1`, "dependencies.evil"},
		{"another range", `"dependencies":{"a":"1"}`, `"dependencies":{"a":"2"}`, `"1" there, "2" in the tarball`},
		{"an optional one", `"dependencies":{"a":"1"}`, `"optionalDependencies":{"a":"1"}`, "dependencies.a"},
		{"a peer", `"peerDependencies":{"a":"1"}`, `"x":1`, "peerDependencies.a"},
		{"a command", `"bin":{"w":"x.js"}`, `"bin":{"w":"x.js","node":"evil.js"}`, "bin.node"},
		{"a script", `"x":1`, `"scripts":{"postinstall":"evil"}`, "scripts.postinstall"},
		{"an invented script", `"scripts":{"preinstall":"x"}`, `"x":1`, "scripts.preinstall"},
		{"the script of a gyp file", `"scripts":{"install":"node-gyp rebuild"},"gypfile":true`, `"x":1`, ""},
		{"not with a script before", `"scripts":{"install":"node-gyp rebuild","preinstall":"x"}`, `"scripts":{"preinstall":"x"}`, "scripts.install"},
		{"bundled ones that npm adds", `"dependencies":{"a":"*"},"bundleDependencies":["a"]`, `"bundleDependencies":["a"]`, ""},
		{"not others", `"dependencies":{"a":"*"}`, `"x":1`, "dependencies.a"},
		{"commands in a folder", `"bin":{"a":"bin/a"},"directories":{"bin":"bin"}`, `"directories":{"bin":"bin"}`, ""},
		{
			"addresses of repositories", `"dependencies":{"a":"git+https://github.com/u/r.git#v1","b":"github:u/r","c":"git+ssh://git@github.com/u/r.git","d":"gitlab:u/r","e":"git+https://git@x.example/u/r.git"}`,
			`"dependencies":{"a":"https://github.com/u/r#v1","b":"u/r","c":"git@github.com:u/r","d":"https://gitlab.com/u/r.git","e":"https://x.example/u/r"}`, "",
		},
		{"of another repository", `"dependencies":{"a":"github:u/r"}`, `"dependencies":{"a":"u/evil"}`, "dependencies.a"},
		{"of another commit", `"dependencies":{"a":"github:u/r#a"}`, `"dependencies":{"a":"u/r#b"}`, "dependencies.a"},
		{"of another host", `"dependencies":{"a":"github:u/r"}`, `"dependencies":{"a":"gitlab:u/r"}`, "dependencies.a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			parse := func(doc string) object {
				pkg, ok := fields([]byte(`{"name":"w","version":"1.0.0",` + doc + `}`))
				if !ok {
					t.Fatal(doc)
				}
				pkg, err := normal("it", pkg)
				if err != nil {
					t.Fatal(err)
				}
				return pkg
			}
			err := agree(parse(test.request), parse(test.tarball))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(sentence(err), test.want)) {
				t.Errorf("agree = %v, want %q", err, test.want)
			}
		})
	}
	pkg := func(name, version string) object { return object{{"name", quote(name)}, {"version", quote(version)}} }
	if agree(pkg("a", "1.0.0"), pkg("b", "1.0.0")) == nil || agree(pkg("a", "1.0.0"), pkg("a", "1.0.1")) == nil {
		t.Errorf("another name or version is not seen")
	}
}
