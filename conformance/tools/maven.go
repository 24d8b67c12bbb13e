package tools

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

func mavenClients() []Tool {
	return []Tool{
		{"maven39", "org.apache.maven:apache-maven", "3.9.16", mavenDistribution{}},
		{"maven4", "org.apache.maven:apache-maven", "4.0.0-rc-6", mavenDistribution{}},
		{"maven-plugins", "", "1", mavenPlugins{}},
		{"coursier", "io.get-coursier:coursier-cli_2.13", "2.1.24", mavenProgram{"coursier.cli.Coursier"}},
	}
}

const dependencyPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0"

// quietly are the options of every mvn that installs something.
var quietly = []string{"--quiet", "--batch-mode"}

// mavenDistribution is a Maven, as Maven Central has it.
type mavenDistribution struct{}

func (mavenDistribution) program(t Tool) string {
	return path.Join("apache-maven-"+t.Version, "bin", "mvn")
}

func (mavenDistribution) install(ctx context.Context, t Tool, dir string) error {
	return mvn(ctx, dir, "mvn", dependencyPlugin+":unpack", "-Dartifact="+t.Package+":"+t.Version+":tar.gz:bin", "-DoutputDirectory="+dir)
}

// mavenProgram is a main class of an artifact, with all that it depends on beside it and a script that starts it.
type mavenProgram struct{ main string }

func (mavenProgram) program(t Tool) string { return t.Name }

func (p mavenProgram) install(ctx context.Context, t Tool, dir string) error {
	group, artifact, _ := strings.Cut(t.Package, ":")
	pom := fmt.Sprintf(`<project><modelVersion>4.0.0</modelVersion><groupId>tools</groupId><artifactId>tools</artifactId><version>1</version>
<dependencies><dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency></dependencies></project>
`, group, artifact, t.Version)
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom), 0o600); err != nil {
		return err
	}
	if err := mvn(ctx, dir, "mvn", dependencyPlugin+":copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib")); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec java -cp '%s/*' %s \"$@\"\n", filepath.Join(dir, "lib"), p.main)
	return os.WriteFile(filepath.Join(dir, t.Name), []byte(script), 0o700) //nolint:gosec // a program
}

// mavenPlugins is no program but a Maven repository that holds the plug-ins of the test projects and all that they need,
// for each Maven: tests name it in their settings, as a file: URL, for what is not under test.
type mavenPlugins struct{}

func (mavenPlugins) program(Tool) string { return "repository" }

func (mavenPlugins) install(ctx context.Context, t Tool, dir string) error {
	project := filepath.Join(dir, "project")
	source := filepath.Join(project, "src", "main", "java", "Main.java")
	if err := os.MkdirAll(filepath.Dir(source), 0o750); err != nil {
		return err
	}
	pom := `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>tools</groupId><artifactId>tools</artifactId><version>1</version>
` + MavenBuild + `</project>
`
	for file, content := range map[string]string{filepath.Join(project, "pom.xml"): pom, source: "class Main {}\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{"", "maven39", "maven4"} {
		program := "mvn"
		if name != "" {
			other, err := Find(name)
			if err != nil {
				return err
			}
			if _, err := other.Install(ctx); err != nil {
				return err
			}
			if program, err = other.Path(); err != nil {
				return err
			}
		}
		err := mvn(ctx, project, program, "-Dmaven.repo.local="+filepath.Join(dir, t.source.program(t)), "clean", "deploy",
			dependencyPlugin+":copy-dependencies", dependencyPlugin+":build-classpath",
			"-DaltDeploymentRepository=deployed::file://"+filepath.Join(dir, "deployed"))
		if err != nil {
			return err
		}
	}
	return nil
}

// MavenBuild is the build section of the test projects: each plug-in that the life cycle takes, at a version that the
// repository of plug-ins holds.
const MavenBuild = `<properties>
  <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  <maven.compiler.source>17</maven.compiler.source>
  <maven.compiler.target>17</maven.compiler.target>
</properties>
<build><pluginManagement><plugins>
  <plugin><artifactId>maven-clean-plugin</artifactId><version>3.5.0</version></plugin>
  <plugin><artifactId>maven-resources-plugin</artifactId><version>3.5.0</version></plugin>
  <plugin><artifactId>maven-compiler-plugin</artifactId><version>3.15.0</version></plugin>
  <plugin><artifactId>maven-surefire-plugin</artifactId><version>3.5.6</version></plugin>
  <plugin><artifactId>maven-jar-plugin</artifactId><version>3.5.1</version></plugin>
  <plugin><artifactId>maven-source-plugin</artifactId><version>3.4.0</version></plugin>
  <plugin><artifactId>maven-install-plugin</artifactId><version>3.2.0</version></plugin>
  <plugin><artifactId>maven-deploy-plugin</artifactId><version>3.2.0</version></plugin>
</plugins></pluginManagement>
<plugins><plugin><artifactId>maven-source-plugin</artifactId>
  <executions><execution><goals><goal>jar-no-fork</goal></goals></execution></executions>
</plugin></plugins></build>
`

func mvn(ctx context.Context, dir, program string, args ...string) error {
	return run(ctx, dir, nil, append(append([]string{program}, quietly...), args...)...)
}
