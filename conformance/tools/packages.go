package tools

import "slices"

// PackageClients lists the real clients of the package formats, but for those that Debian has.
func PackageClients() []Tool { return slices.Concat(npmClients(), pythonClients(), mavenClients()) }

// PackagePeers lists the package registries that Packhouse is compared with.
func PackagePeers() []Tool { return slices.Concat(npmPeers(), pythonPeers()) }

// DebianPackages lists what the clients of the package formats need of Debian's.
func DebianPackages() []string {
	return slices.Concat(
		unless("npm", "npm"),                         // brings the pinned clients of npm feeds; another Node.js forbids Debian's
		[]string{"python3", "python3-venv"},          // the Python clients' virtual environments
		[]string{"gradle"},                           // resolves; its publishing does not work in Debian's build
		[]string{"maven", "default-jdk-headless"},    // Maven 3.8, and what brings and runs the others
		[]string{"curl", "gnupg", "ca-certificates"}, // generic's client; provenance of charts; the registries
	)
}
