package packages

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
	"github.com/packhouse/packhouse/conformance/tools"
)

// goals of plug-ins that tests name whole: the repository of plug-ins has no metadata to find them by.
const (
	copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies"
	deployFile       = "org.apache.maven.plugins:maven-deploy-plugin:3.2.0:deploy-file"
)

// mavenClient is one Maven.
type mavenClient struct {
	client

	mvn string
}

func mavenClients(t *testing.T) []mavenClient {
	t.Helper()
	old, version := rig.Debian(t, "mvn")
	list := []mavenClient{{client{"maven", "Maven 3.8", version}, old}}
	for _, tool := range []string{"maven39", "maven4"} {
		path, version := rig.Tool(t, tool)
		name := map[string]string{"maven39": "Maven 3.9", "maven4": "Maven 4"}[tool]
		list = append(list, mavenClient{client{"maven", name, version}, path})
	}
	return list
}

// mavenHome is a home whose settings name the feed, and for plug-ins a directory: only the feed is under test.
func mavenHome(t *testing.T, r *rig.Registry) *rig.Registry {
	t.Helper()
	home := r.In(t)
	plugins, _ := rig.Tool(t, "maven-plugins")
	setMaven(t, home, fmt.Sprintf("<mirror><id>plugins</id><mirrorOf>central</mirrorOf><url>file://%s</url></mirror>", plugins))
	return home
}

func setMaven(t *testing.T, r *rig.Registry, mirrors string) {
	t.Helper()
	r.File(t, ".m2/settings.xml", []byte(fmt.Sprintf(`<settings>
<proxies>
  <proxy><id>none</id><active>true</active><protocol>http</protocol><host>127.0.0.1</host><port>1</port><nonProxyHosts>127.0.0.1|localhost</nonProxyHosts></proxy>
  <proxy><id>nones</id><active>true</active><protocol>https</protocol><host>127.0.0.1</host><port>1</port><nonProxyHosts>127.0.0.1|localhost</nonProxyHosts></proxy>
</proxies>
<mirrors>%s</mirrors>
<servers><server><id>acme</id><username>someone</username><password>token</password></server></servers>
<profiles><profile><id>acme</id><repositories><repository><id>acme</id><url>%s</url>
  <releases><enabled>true</enabled><updatePolicy>always</updatePolicy><checksumPolicy>fail</checksumPolicy></releases>
  <snapshots><enabled>true</enabled><updatePolicy>always</updatePolicy><checksumPolicy>fail</checksumPolicy></snapshots>
</repository></repositories></profile></profiles>
<activeProfiles><activeProfile>acme</activeProfile></activeProfiles>
</settings>
`, mirrors, feed(r, "maven"))))
	options := "-Duser.home=" + r.Home + " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
	if r.TLS() {
		r.Run(t, "keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", r.CACert, "-keystore", "trust.p12", "-storetype", "PKCS12", "-storepass", "secret")
		options += " -Djavax.net.ssl.trustStore=" + filepath.Join(r.Home, "trust.p12") + " -Djavax.net.ssl.trustStorePassword=secret"
	}
	r.Env = append(r.Env, "MAVEN_OPTS="+options, "MAVEN_ARGS=", "JAVA_TOOL_OPTIONS=")
}

// in runs the Maven in a directory below the home.
func (c mavenClient) in(t *testing.T, r *rig.Registry, dir string, args ...string) string {
	t.Helper()
	out, err := c.try(t, r, dir, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", c.name, strings.Join(args, " "), err)
	}
	return out
}

func (c mavenClient) try(t *testing.T, r *rig.Registry, dir string, args ...string) (string, error) {
	t.Helper()
	sub := *r
	sub.Home = filepath.Join(r.Home, dir)
	command := []string{
		c.mvn, "--batch-mode", "--no-transfer-progress", "-s", filepath.Join(r.Home, ".m2", "settings.xml"),
		"-Dmaven.repo.local=" + filepath.Join(r.Home, "repository"), "-DaltDeploymentRepository=acme::" + feed(r, "maven"),
	}
	return sub.Try(t, append(command, args...)...)
}

// mavenProject writes a project of two modules, core and app, the latter depending on the former.
func mavenProject(t *testing.T, r *rig.Registry, dir, group, version string) {
	t.Helper()
	parent := fmt.Sprintf("<parent><groupId>%s</groupId><artifactId>parent</artifactId><version>%s</version></parent>", group, version)
	head := `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>`
	r.File(t, filepath.Join(dir, "pom.xml"), []byte(fmt.Sprintf("%s<groupId>%s</groupId><artifactId>parent</artifactId><version>%s</version><packaging>pom</packaging>\n"+
		"<description>A test project.</description><licenses><license><name>MIT</name></license></licenses>\n<modules><module>core</module><module>app</module></modules>\n%s</project>\n",
		head, group, version, tools.MavenBuild)))
	r.File(t, filepath.Join(dir, "core/pom.xml"), []byte(head+parent+"<artifactId>core</artifactId></project>\n"))
	r.File(t, filepath.Join(dir, "core/src/main/java/core/Core.java"), []byte("package core;\npublic class Core { public static String name() { return \"core of "+group+" "+version+"\"; } }\n"))
	r.File(t, filepath.Join(dir, "app/pom.xml"), []byte(head+parent+"<artifactId>app</artifactId><dependencies><dependency><groupId>"+group+
		"</groupId><artifactId>core</artifactId><version>"+version+"</version></dependency></dependencies></project>\n"))
	r.File(t, filepath.Join(dir, "app/src/main/java/app/App.java"), []byte("package app;\npublic class App { public static String name() { return \"app on \" + core.Core.name(); } }\n"))
}

// mavenConsumer writes a project that depends on what is named as GROUP:ARTIFACT:VERSION.
func mavenConsumer(t *testing.T, r *rig.Registry, dir string, dependencies ...string) {
	t.Helper()
	var b strings.Builder
	for _, d := range dependencies {
		parts := strings.Split(d, ":")
		fmt.Fprintf(&b, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n", parts[0], parts[1], parts[2])
	}
	r.File(t, filepath.Join(dir, "pom.xml"), []byte(`<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>consumer</groupId><artifactId>consumer</artifactId><version>1</version>
<dependencies>
`+b.String()+"</dependencies>\n"+tools.MavenBuild+"</project>\n"))
}

func TestMaven(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		clients := mavenClients(t)
		var released, snapshots []string
		group := func(c mavenClient) string {
			return "com.acme.by" + strings.ReplaceAll(strings.TrimPrefix(c.name, "Maven "), ".", "")
		}
		t.Run("deploy", func(t *testing.T) {
			for _, c := range clients {
				released = append(released, group(c)+":app:1.0.0")
				snapshots = append(snapshots, group(c)+":app:1.1.0-SNAPSHOT")
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					home := mavenHome(t, r)
					c.use(t, "deploy of a multi-module release", func(t *testing.T) {
						mavenProject(t, home, "made", group(c), "1.0.0")
						c.in(t, home, "made", "deploy")
					})
					c.use(t, "deploy of a release again is refused in our words", func(t *testing.T) {
						home.File(t, "made/core/src/main/java/core/Core.java", []byte("package core;\npublic class Core { public static String name() { return \"other\"; } }\n"))
						out, err := c.try(t, home, "made", "deploy", "--projects=core")
						if err == nil {
							t.Fatal("it succeeded")
						}
						rig.Contains(t, out, "publish another version than 1.0.0")
					})
					c.use(t, "deploy of snapshots", func(t *testing.T) {
						mavenProject(t, home, "snapshot", group(c), "1.1.0-SNAPSHOT")
						c.in(t, home, "snapshot", "deploy")
						home.File(t, "snapshot/core/src/main/java/core/Core.java", []byte("package core;\npublic class Core { public static String name() { return \"second build\"; } }\n"))
						c.in(t, home, "snapshot", "deploy", "--projects=core")
					})
				})
			}
		})
		t.Run("resolve", func(t *testing.T) {
			for _, c := range clients {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.use(t, "compile with what each other Maven deployed, and a range of versions", func(t *testing.T) {
						home := mavenHome(t, r)
						mavenConsumer(t, home, "consumer", append([]string{group(c) + ":core:[1.0,1.0.9)"}, released...)...)
						home.File(t, "consumer/src/main/java/Main.java", []byte("public class Main { public static void main(String[] a) { System.out.println(app.App.name()); } }\n"))
						c.in(t, home, "consumer", "compile", copyDependencies, "-DoutputDirectory=libs")
						rig.Contains(t, home.Run(t, "java", "-cp", "consumer/target/classes:consumer/libs/*", "Main"), "app on core of com.acme.by")
					})
					c.use(t, "the newest build of each snapshot", func(t *testing.T) {
						home := mavenHome(t, r)
						mavenConsumer(t, home, "consumer", snapshots...)
						c.in(t, home, "consumer", copyDependencies, "-DoutputDirectory=libs", "-Dmdep.prependGroupId=true")
						second := 0
						for name, content := range contents(t, filepath.Join(home.Home, "consumer", "libs")) {
							if strings.Contains(name, ".core-") {
								second += strings.Count(unzipped(t, content, "core/Core.class"), "second build")
							}
						}
						rig.Equal(t, "second builds", second, len(snapshots))
					})
					if c.name != "Maven 3.9" {
						return
					}
					c.use(t, "deploy and resolve over TLS", func(t *testing.T) {
						secure := startTLS(t)
						home := mavenHome(t, secure)
						mavenProject(t, home, "made", "com.acme.secure", "1.0.0")
						c.in(t, home, "made", "deploy")
						home = mavenHome(t, secure)
						mavenConsumer(t, home, "consumer", "com.acme.secure:app:1.0.0")
						c.in(t, home, "consumer", copyDependencies, "-DoutputDirectory=libs")
					})
				})
			}
			gradle, version := rig.Debian(t, "gradle")
			client{"maven", "Gradle", version}.use(t, "compile with what each Maven deployed, and a range of versions", func(t *testing.T) {
				t.Parallel()
				gradleResolves(t, r, gradle, released)
			})
			path, version := rig.Tool(t, "coursier")
			coursier := client{"maven", "coursier", version}
			coursier.use(t, "fetch what each Maven deployed", func(t *testing.T) {
				home := mavenHome(t, r)
				home.Env = append(home.Env, "COURSIER_CACHE="+filepath.Join(home.Home, "cache"), "COURSIER_PROGRESS=false")
				out := home.Run(t, append([]string{path, "fetch", "--no-default", "--repository=" + feed(r, "maven")}, released...)...)
				if n := len(strings.Fields(out)); n != 2*len(released) {
					t.Errorf("got %d files, want app and core of each:\n%s", n, out)
				}
				rig.Contains(t, home.Run(t, append([]string{path, "resolve", "--no-default", "--repository=" + feed(r, "maven")}, strings.ReplaceAll(released[0], "1.0.0", "[1.0,)"))...), "core:1.0.0")
			})
		})
	})
}

// gradleResolves compiles and runs a class by what was released. The plug-ins are Gradle's own: it needs nothing else.
func gradleResolves(t *testing.T, r *rig.Registry, gradle string, released []string) {
	t.Helper()
	home := r.In(t)
	home.Env = append(home.Env, "GRADLE_USER_HOME="+filepath.Join(home.Home, ".gradle"), "GRADLE_OPTS=-Duser.home="+home.Home+
		" -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=1 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=1 -Dhttp.nonProxyHosts=127.0.0.1") // a shell reads them
	home.File(t, "settings.gradle", []byte("rootProject.name = 'consumer'\n"))
	home.File(t, "build.gradle", []byte("apply plugin: 'java'\napply plugin: 'application'\nmainClassName = 'Main'\nrepositories { maven { url '"+feed(r, "maven")+
		"/' } }\ndependencies {\n  compile '"+strings.Join(released, "'\n  compile '")+"'\n  compile '"+strings.ReplaceAll(released[0], ":1.0.0", ":1.+")+"'\n}\n"))
	home.File(t, "src/main/java/Main.java", []byte("public class Main { public static void main(String[] a) { System.out.println(app.App.name()); } }\n"))
	rig.Contains(t, home.Run(t, gradle, "--no-daemon", "--console=plain", "run"), "app on core of com.acme.by")
}

// jar makes a jar with one entry.
func jar(t *testing.T, name, content string) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	f, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// unzipped is one entry of an archive.
func unzipped(t *testing.T, archive []byte, name string) string {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func pom(group, artifact, version string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></project>
`, group, artifact, version)
}

func mavenEcosystem() ecosystem {
	const group, name = "com.acme.tools", "widget"
	newest := func(t *testing.T) mavenClient {
		t.Helper()
		return mavenClients(t)[1]
	}
	return ecosystem{
		name: "maven", artifactType: "application/vnd.packhouse.maven.v1",
		pack: func(t *testing.T, r *rig.Registry, version string) artifact {
			t.Helper()
			base := name + "-" + version
			r.File(t, base+".jar", jar(t, "widget.txt", version))
			r.File(t, base+".pom", []byte(pom(group, name, version)))
			return artifact{
				pkg: group + ":" + name, version: version, repo: "acme/maven/" + group + "/" + name, tag: version,
				files: []string{base + ".jar", base + ".pom"}, mediaTypes: []string{"application/java-archive", "application/xml"},
			}
		},
		publish: func(t *testing.T, r *rig.Registry, a artifact) {
			t.Helper()
			home := mavenHome(t, r)
			newest(t).in(t, home, ".", deployFile, "-DrepositoryId=acme", "-Durl="+feed(r, "maven"),
				"-Dfile="+filepath.Join(r.Home, a.files[0]), "-DpomFile="+filepath.Join(r.Home, a.files[1]))
		},
		install: func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
			t.Helper()
			home := mavenHome(t, r)
			mavenConsumer(t, home, "consumer", a.pkg+":"+a.version)
			newest(t).in(t, home, "consumer", copyDependencies, "-DoutputDirectory=libs", "-Dmdep.copyPom=true")
			return contents(t, filepath.Join(home.Home, "consumer", "libs"))
		},
	}
}
