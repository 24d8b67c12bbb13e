package access

import (
	"fmt"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// goals of plug-ins, named whole: the directory of plug-ins has no metadata to find them by.
const (
	getGoal        = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:get"
	deployFileGoal = "org.apache.maven.plugins:maven-deploy-plugin:3.2.0:deploy-file"
)

// TestMaven has its credentials in ~/.m2/settings.xml, one server each namespace.
func TestMaven(t *testing.T) {
	mvn, version := rig.Tool(t, "maven39")
	feed := func(a actor, namespace string) string { return a.URL + "/" + namespace + "/maven" }
	run := func(args ...string) command {
		return command{argv: append([]string{mvn, "--batch-mode", "--quiet", "-Dstyle.color=never", "-Dmaven.repo.local=repository"}, args...)}
	}
	tell(t, client{
		name: "Maven", version: version,
		setUp: func(t *testing.T, a actor) {
			t.Helper()
			plugins, _ := rig.Tool(t, "maven-plugins")
			servers := ""
			for _, namespace := range []string{own, foreign, nowhere} {
				if a.user != "" {
					servers += fmt.Sprintf("<server><id>%s</id><username>%s</username><password>%s</password></server>\n", namespace, a.user, a.secret)
				}
			}
			a.File(t, ".m2/settings.xml", []byte(fmt.Sprintf(`<settings>
<proxies>
  <proxy><id>none</id><active>true</active><protocol>http</protocol><host>127.0.0.1</host><port>1</port><nonProxyHosts>127.0.0.1|localhost</nonProxyHosts></proxy>
</proxies>
<mirrors><mirror><id>plugins</id><mirrorOf>central</mirrorOf><url>file://%s</url></mirror></mirrors>
<servers>
%s</servers>
</settings>
`, plugins, servers)))
			a.Registry.Env = append(a.Env, "MAVEN_ARGS=",
				"MAVEN_OPTS=-Duser.home="+a.Home+" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto")
		},
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.File(t, "tool.txt", []byte(namespace+" "+version))
			return run(deployFileGoal, "-Dfile=tool.txt", "-DgroupId=com.acme", "-DartifactId=tool", "-Dversion="+version, "-Dpackaging=txt",
				"-DrepositoryId="+namespace, "-Durl="+feed(a, namespace))
		},
		read: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.clear(t, "repository/com/acme")
			return run(getGoal, "-Dartifact=com.acme:tool:"+version+":txt", "-Dtransitive=false", "-DremoteRepositories="+namespace+"::default::"+feed(a, namespace))
		},
	})
}
