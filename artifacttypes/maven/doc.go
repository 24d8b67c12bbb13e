// Package maven is the Maven repository format: what Maven, Gradle, sbt and
// their relatives deploy and resolve.
//
// A package is group:artifact, a release one exact version of it, a layer one
// file of it under the name that the repository layout gives it:
//
//	NAMESPACE/maven/com.acme.tools/my-lib:1.0.0
//	    my-lib-1.0.0.jar  my-lib-1.0.0.pom  my-lib-1.0.0-sources.jar
//	/NAMESPACE/maven/com/acme/tools/my-lib/1.0.0/my-lib-1.0.0.jar
//
// Each build of a snapshot is a release of its own, 1.1.0-20261123.203355-1;
// the label 1.1.0-SNAPSHOT points to the newest.
//
// Nothing that follows from the files is stored: checksums are those of the
// bytes that are served, and maven-metadata.xml is made of what is there, on
// its three levels. What clients send of both is compared or dropped.
//
// Layout and metadata: https://maven.apache.org/repositories/layout.html,
// https://maven.apache.org/repositories/metadata.html. Versions:
// https://maven.apache.org/pom.html#version-order-specification.
package maven
