package chart

import (
	"strings"
	"testing"
)

// Two Secrets' keys, as --set takes them.
const (
	databaseURL = "existingSecrets.database\\.url.name=s,existingSecrets.database\\.url.key=k"
	secretsKey  = "existingSecrets.secrets\\.key.name=s,existingSecrets.secrets\\.key.key=k"
	database    = databaseURL + "," + secretsKey
)

// TestMisspelt: what the schema does not know is refused, by helm lint, too.
func TestMisspelt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, set, want string }{
		{"a key that is not", "config.log.levels=debug", "additional properties 'levels' not allowed"},
		{"a section that is not", "config.lgo.level=debug", "additional properties 'lgo' not allowed"},
		{"a value of the wrong kind", "config.log.access=perhaps", "got string, want boolean"},
		{"a time span that is none", "config.gc.lease=soon", "does not match pattern"},
		{"a value of the chart's that is not", "replicas=2", "additional properties 'replicas' not allowed"},
		{"a value of the chart's of the wrong kind", "replicaCount=two", "got string, want integer"},
		{"no pod at all", "replicaCount=0", "minimum: got 0, want 1"},
		{"a policy that is not", "image.pullPolicy=Sometimes", "value must be one of"},
		{"a secret's key that is not", "existingSecrets.database\\.uri.name=s", "additional properties 'database.uri' not allowed"},
		{"half a reference", "existingSecrets.database\\.url.name=s", "missing property 'key'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			refused(t, tc.set, tc.want, "template", "rel", chartDir(t))
			refused(t, tc.set, tc.want, "lint", chartDir(t))
		})
	}
}

// TestImpossible: what cannot work is refused with a sentence that says why.
func TestImpossible(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, set, want string }{
		{"a secret in the open", "config.database.url=postgres://a:b@c/d", "config.database.url: it is a secret, and config is a ConfigMap that many can read"},
		{"the storage's key in the open", "config.storage.params.secretkey=x", "set existingSecrets.storage.params.secretkey to {name: SECRET, key: KEY}"},
		{"what the chart sets", "config.addr=0.0.0.0:80", "config.addr: the chart sets it: remove it"},
		{"a certificate's file", "config.tls.cert=/x", "config.tls.cert: the chart sets it"},
		{"pods with a database each", "replicaCount=2", "several pods need a database that they share, since SQLite belongs to one process"},
		{"scaled pods with a database each", "autoscaling.enabled=true", "several pods need a database that they share"},
		{"pods with files each", "replicaCount=2," + database, "several pods need storage that they share"},
		{"pods with memory each", "replicaCount=2,config.storage.driver=inmemory," + database, "several pods do not share memory"},
		{"pods with a key each", "config.storage.driver=s3aws," + databaseURL, "database.url needs secrets.key beside it"},
		{"fewer than the least", "autoscaling.enabled=true,autoscaling.maxReplicas=1,config.storage.driver=s3aws," + database, "minReplicas is more than maxReplicas"},
		{"nothing to scale by", "autoscaling.enabled=true,autoscaling.targetCPUUtilizationPercentage=0,config.storage.driver=s3aws," + database, "there is nothing to scale by"},
		{"an Ingress for no host", "ingress.enabled=true", "ingress.hosts: name the host"},
		{"a route from no Gateway", "httpRoute.enabled=true", "httpRoute.parentRefs: name the Gateway"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			refused(t, tc.set, tc.want, "template", "rel", chartDir(t))
		})
	}
}

func refused(t *testing.T, set, want string, command ...string) {
	t.Helper()
	_, said, err := helm(t, append(command, "--kube-version="+newest, "--set", set)...)
	if err == nil || !strings.Contains(said, want) {
		t.Errorf("helm %s (%v) said\n%s\nwant %q", command[0], err, said, want)
	}
}
