package packages

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// realMaven are the artifacts that a project of two modules asks for; with what they depend on there are more.
func realMaven() []string {
	return strings.Fields(`com.google.guava:guava:33.4.8-jre org.springframework:spring-core:6.2.8 org.springframework:spring-context:6.2.8
		org.springframework:spring-webmvc:6.2.8 com.fasterxml.jackson.core:jackson-databind:2.19.1 org.apache.commons:commons-lang3:3.17.0
		commons-io:commons-io:2.19.0 org.slf4j:slf4j-api:2.0.17 ch.qos.logback:logback-classic:1.5.18 io.netty:netty-handler:4.2.2.Final
		com.squareup.okhttp3:okhttp:4.12.0 com.google.code.gson:gson:2.13.1 org.apache.httpcomponents.client5:httpclient5:5.5
		io.micrometer:micrometer-core:1.15.1 org.yaml:snakeyaml:2.4`)
}

// TestRealMaven takes what a build needs, its plug-ins too, from the repositories that Maven is configured for, deploys it
// into Packhouse and builds from there alone.
func TestRealMaven(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		clients := mavenClients(t)
		outside := r.In(t)
		writeRealProject(t, outside)
		machine(t, filepath.Join(outside.Home, "project"), clients[1].mvn, "--batch-mode", "--no-transfer-progress",
			"-Dmaven.repo.local="+filepath.Join(outside.Home, "repository"), "package", copyDependencies)
		repository := filepath.Join(outside.Home, "repository")
		files := mavenFiles(t, repository)
		t.Logf("%d files", len(files))
		var deployed, rest []string
		for _, file := range files {
			jar := strings.TrimSuffix(file, ".pom") + ".jar"
			switch {
			case strings.Contains(file, "/plugins/") || strings.Contains(file, "/codehaus/"):
				rest = append(rest, file)
			case strings.HasSuffix(file, ".pom") && slices.Contains(files, jar):
				deployed = append(deployed, jar)
			case !strings.HasSuffix(file, ".jar") || !slices.Contains(files, strings.TrimSuffix(file, ".jar")+".pom"):
				rest = append(rest, file) // parents, bills of materials, classified jars
			}
		}
		if len(deployed) < 40 {
			t.Fatalf("only %d artifacts came, want the dependencies' dependencies, too: %q", len(deployed), deployed)
		}
		t.Run("deploy", func(t *testing.T) {
			t.Run("by Maven", func(t *testing.T) {
				t.Parallel()
				deployAll(t, r, clients[1], repository, deployed)
			})
			t.Run("as curl does", func(t *testing.T) {
				t.Parallel()
				putAll(t, r, repository, rest)
			})
		})
		c := clients[1]
		c.use(t, "build a project of real artifacts and plug-ins", func(t *testing.T) {
			home := r.In(t)
			// Everything, plug-ins included, comes from the feed.
			setMaven(t, home, fmt.Sprintf("<mirror><id>all</id><mirrorOf>*</mirrorOf><url>%s</url></mirror>", feed(r, "maven")))
			writeRealProject(t, home)
			c.in(t, home, "project", "package")
			for _, file := range deployed {
				if !strings.Contains(file, "guava/33") && !strings.Contains(file, "spring-core/") {
					continue
				}
				got, want := readFile(t, filepath.Join(home.Home, "repository", file)), readFile(t, filepath.Join(repository, file))
				rig.Equal(t, file, sum(got), sum(want))
			}
			rig.Contains(t, home.Run(t, "java", "-cp", "project/core/target/classes:project/app/target/classes:"+
				filepath.Join(home.Home, "repository", "com/google/guava/guava/33.4.8-jre/guava-33.4.8-jre.jar"), "app.App"), "app [a, b]")
		})
		path, version := rig.Tool(t, "coursier")
		client{"maven", "coursier", version}.use(t, "fetch real artifacts", func(t *testing.T) {
			home := r.In(t)
			home.Env = append(home.Env, "COURSIER_CACHE="+filepath.Join(home.Home, "cache"), "COURSIER_PROGRESS=false")
			out := home.Run(t, append([]string{path, "fetch", "--no-default", "--repository=" + feed(r, "maven")}, realMaven()...)...)
			if n := len(strings.Fields(out)); n < 30 {
				t.Errorf("only %d files came:\n%s", n, out)
			}
		})
	})
}

func writeRealProject(t *testing.T, r *rig.Registry) {
	t.Helper()
	mavenProject(t, r, "project", "com.acme.real", "1.0.0")
	var b strings.Builder
	for _, d := range realMaven() {
		p := strings.Split(d, ":")
		fmt.Fprintf(&b, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n", p[0], p[1], p[2])
	}
	core := string(r.Read(t, "project/core/pom.xml"))
	r.File(t, "project/core/pom.xml", []byte(strings.Replace(core, "</project>", "<dependencies>"+b.String()+"</dependencies></project>", 1)))
	r.File(t, "project/core/src/main/java/core/Core.java", []byte("package core;\npublic class Core { public static String name() {\n"+
		"return com.google.common.collect.ImmutableList.of(\"a\", \"b\").toString(); } }\n"))
	r.File(t, "project/app/src/main/java/app/App.java", []byte("package app;\npublic class App { public static void main(String[] a) { System.out.println(\"app \" + core.Core.name()); } }\n"))
}

// mavenFiles lists the files of a local repository that came from a remote one.
func mavenFiles(t *testing.T, repository string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(repository, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(repository, path)
		if strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), "maven-metadata") || strings.HasPrefix(d.Name(), "resolver-status") ||
			slices.Contains([]string{".sha1", ".md5", ".lastUpdated", ".repositories", ".properties"}, filepath.Ext(path)) {
			return err
		}
		files = append(files, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

// deployAll deploys jars with their POMs by one run of Maven.
func deployAll(t *testing.T, r *rig.Registry, c mavenClient, repository string, jars []string) {
	t.Helper()
	home := mavenHome(t, r)
	var b strings.Builder
	for i, jar := range jars {
		fmt.Fprintf(&b, "<execution><id>d%d</id><phase>deploy</phase><goals><goal>deploy-file</goal></goals><configuration><file>%s</file><pomFile>%s</pomFile>"+
			"<packaging>jar</packaging><repositoryId>acme</repositoryId><url>%s</url></configuration></execution>\n", i, filepath.Join(repository, jar),
			filepath.Join(repository, strings.TrimSuffix(jar, ".jar")+".pom"), feed(r, "maven"))
	}
	home.File(t, "all/pom.xml", []byte(`<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>all</groupId><artifactId>all</artifactId><version>1</version><packaging>pom</packaging>
<build><plugins>
<plugin><artifactId>maven-install-plugin</artifactId><version>3.2.0</version><configuration><skip>true</skip></configuration></plugin>
<plugin><artifactId>maven-deploy-plugin</artifactId><version>3.2.0</version><executions>
<execution><id>default-deploy</id><phase>none</phase></execution>
`+b.String()+"</executions></plugin></plugins></build></project>\n"))
	c.in(t, home, "all", "deploy")
}

// putAll uploads files as they are, four at a time.
func putAll(t *testing.T, r *rig.Registry, repository string, files []string) {
	t.Helper()
	turns := make(chan string, len(files))
	for _, file := range files {
		turns <- file
	}
	close(turns)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for file := range turns {
				res, body := r.Do(t, http.MethodPut, "/"+namespace+"/maven/"+file, nil, readFile(t, filepath.Join(repository, file)))
				if res.StatusCode != http.StatusCreated {
					t.Errorf("PUT %s: %s: %s", file, res.Status, body)
				}
			}
		})
	}
	workers.Wait()
}
