package access

import (
	"regexp"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/conformance/rig"
)

func TestORAS(t *testing.T) {
	oras, version := rig.Tool(t, "oras")
	artifact := func(a actor, namespace, version string) string { return a.Host + "/" + namespace + "/thing:" + version }
	tell(t, client{
		name: "oras", version: version,
		noise: regexp.MustCompile(`(?m)^(Preparing|Uploading|Uploaded|Exists|Skipped) .*\n`),
		logIn: func(_ *testing.T, a actor) command { return stdin(a, oras, "login", "--plain-http", a.Host) },
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.File(t, "thing.txt", []byte(namespace+" "+version))
			return command{argv: []string{oras, "push", "--plain-http", "--no-tty", artifact(a, namespace, version), "thing.txt:text/plain"}}
		},
		read: func(_ *testing.T, a actor, namespace, version string) command {
			return command{argv: []string{oras, "pull", "--plain-http", "--no-tty", artifact(a, namespace, version), "-o", "pulled"}}
		},
	})
}

func TestHelm(t *testing.T) {
	helm, version := rig.Tool(t, "helm")
	tell(t, client{
		name: "helm", version: version, byToken: true,
		logIn: func(_ *testing.T, a actor) command {
			return stdin(a, helm, "registry", "login", "--plain-http", a.Host)
		},
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			packChart(t, a, helm, version)
			return command{argv: []string{helm, "push", "--plain-http", "web-" + version + ".tgz", "oci://" + a.Host + "/" + namespace + "/charts"}}
		},
		read: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.clear(t, "pulled")
			a.File(t, "pulled/here", nil) // Helm makes no directory
			return command{argv: []string{helm, "pull", "--plain-http", "oci://" + a.Host + "/" + namespace + "/charts/web", "--version", version, "-d", "pulled"}}
		},
	})
}

// TestHelmRepo is Helm with the classic protocol, to which curl uploads as ChartMuseum's plug-in does.
func TestHelmRepo(t *testing.T) {
	helm, version := rig.Tool(t, "helm")
	tell(t, client{
		name: "helm repo", version: version,
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			packChart(t, a, helm, version)
			argv := []string{"curl", "--silent", "--show-error", "--fail-with-body", "--data-binary", "@web-" + version + ".tgz"}
			if a.user != "" {
				argv = append(argv, "--user", a.user+":"+a.secret)
			}
			return command{argv: append(argv, a.URL+"/api/"+namespace+"/helm/charts")}
		},
		read: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.clear(t, "pulled", ".cache")
			a.File(t, "pulled/here", nil)
			argv := []string{helm, "pull", "web", "--version", version, "--repo", a.URL + "/" + namespace + "/helm", "-d", "pulled"}
			if a.user != "" {
				argv = append(argv, "--username", a.user, "--password", a.secret)
			}
			return command{argv: argv}
		},
	})
}

func packChart(t *testing.T, a actor, helm, version string) {
	t.Helper()
	a.File(t, "web/Chart.yaml", []byte("apiVersion: v2\nname: web\nversion: "+version+"\n"))
	a.must(t, command{argv: []string{helm, "package", "web"}})
}

// TestCosign signs images that plain requests have pushed.
func TestCosign(t *testing.T) {
	cosign, version := rig.Tool(t, "cosign3")
	owners := map[string]string{own: "alice", foreign: "bob"}
	image := func(t *testing.T, a actor, namespace, version string) string {
		t.Helper()
		m, blobs := imageOf(t, version)
		if user := owners[namespace]; user != "" {
			pushImage(t, a, user, namespace+"/app", version, m, blobs)
		}
		return a.Host + "/" + namespace + "/app@" + digest.FromBytes(m).String()
	}
	tell(t, client{
		name: "cosign", version: version, byToken: true, deaf: true,
		noise: regexp.MustCompile(`(?m)^(Pushing signature to: .*|Signing artifact\.\.\.)\n`),
		setUp: func(t *testing.T, a actor) { t.Helper(); rig.NewCosign(t, a.Registry) },
		logIn: func(_ *testing.T, a actor) command { return stdin(a, cosign, "login", a.Host) },
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			return command{argv: []string{
				cosign, "sign", "--yes", "--key=key.key", "--signing-config=signing-config.json", "--trusted-root=trusted-root.json",
				image(t, a, namespace, version),
			}}
		},
		read: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			return command{argv: []string{cosign, "verify", "--key=key.pub", "--insecure-ignore-tlog", image(t, a, namespace, version)}}
		},
	})
}

// TestCurl uploads and downloads plain files, with credentials in ~/.netrc.
func TestCurl(t *testing.T) {
	file := func(a actor, namespace, version string) string {
		return a.URL + "/" + namespace + "/generic/tool/" + version + "/tool.bin"
	}
	curl := []string{"curl", "--netrc-optional", "--silent", "--show-error", "--fail-with-body"}
	tell(t, client{
		name: "curl", version: rig.Version(t, "curl"), byToken: true,
		setUp: netrc,
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.File(t, "tool.bin", []byte(namespace+" "+version))
			return command{argv: append(slices.Clip(curl), "-T", "tool.bin", file(a, namespace, version))}
		},
		read: func(_ *testing.T, a actor, namespace, version string) command {
			return command{argv: append(slices.Clip(curl), file(a, namespace, version))}
		},
	})
}

// netrc writes ~/.netrc.
func netrc(t *testing.T, a actor) {
	t.Helper()
	if a.user != "" {
		a.File(t, ".netrc", []byte("machine 127.0.0.1 login "+a.user+" password "+a.secret+"\n"))
	}
}
