package tools

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Debian lists the packages that the tests take from Debian 12, and why.
func Debian() []string {
	return []string{
		"ca-certificates",  // module downloads
		"gcc", "libc6-dev", // the race detector
		"docker.io",          // Docker Engine and its command line
		"containerd", "runc", // the kubelet's side of a pull
		"podman", "buildah", "skopeo", // the daemonless family
		"e2fsprogs", "mount", "strace", // power cuts, full disks and failing writes
	}
}

// DebianServices lists the servers that replicas are run with.
func DebianServices() []string {
	return []string{"postgresql", "redis-server"}
}

// DebianPeers lists the packages that only the benchmarks need.
func DebianPeers() []string {
	return []string{
		"nginx-light", // the static limit
		"wrk",         // the load
	}
}

// unless are the packages, if the program that they bring is not on the machine already.
func unless(program string, packages ...string) []string {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	return packages
}

// InstallDebian installs the packages that are missing and returns their names.
func InstallDebian(ctx context.Context, packages []string) ([]string, error) {
	missing := missing(ctx, packages)
	if len(missing) == 0 {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("tools: run as root, or first: apt-get install %s", strings.Join(missing, " "))
	}
	install := append([]string{"install", "--yes", "--quiet", "--no-install-recommends"}, missing...)
	// A machine that was never updated, or long ago, has no usable package lists: fetch them only then.
	if err := aptGet(ctx, install...); err == nil {
		return missing, nil
	}
	if err := aptGet(ctx, "update", "--quiet"); err != nil {
		return nil, err
	}
	return missing, aptGet(ctx, install...)
}

func missing(ctx context.Context, names []string) []string {
	var missing []string
	for _, name := range names {
		out, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status}", name).Output()
		if err != nil || string(out) != "installed" {
			missing = append(missing, name)
		}
	}
	return missing
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out.Bytes())
	}
	return nil
}
