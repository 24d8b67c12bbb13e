package tools

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
)

// npmPackage is a package of the npm registry, installed by whatever npm is on the machine. Install scripts are not run:
// where a package would only link the program of its platform, the platform's own package is the pin.
type npmPackage struct {
	file string // the program within the package
	// overrides is a JSON object: dependencies of dependencies that cannot be had as they are asked for.
	overrides string
}

// npmClients lists the clients of npm feeds. Node.js is one of them, since neither Debian's nor what else may be on the
// machine is of a known version.
func npmClients() []Tool {
	arch, bunArch := "x64", "x64"
	if runtime.GOARCH == "arm64" {
		arch, bunArch = "arm64", "aarch64"
	}
	return []Tool{
		{"node", "node-linux-" + arch, "24.21.0", npmPackage{file: "bin/node"}},
		{"npm", "npm", "11.19.1", npmPackage{file: "bin/npm-cli.js"}},
		{"pnpm", "@pnpm/exe.linux-" + arch, "12.21.0", npmPackage{file: "pnpm"}},
		{"yarn1", "yarn", "1.22.22", npmPackage{file: "bin/yarn.js"}},
		{"yarn4", "@yarnpkg/cli-dist", "4.18.1", npmPackage{file: "bin/yarn.js"}},
		{"bun", "@oven/bun-linux-" + bunArch, "1.4.5", npmPackage{file: "bin/bun"}},
	}
}

func npmPeers() []Tool {
	return []Tool{{"verdaccio", "verdaccio", "6.10.4", npmPackage{
		file:      "bin/verdaccio",
		overrides: `{"node-fetch":"2.7.0"}`, // by a tag that is gone
	}}}
}

func (p npmPackage) program(t Tool) string { return path.Join("node_modules", t.Package, p.file) }

func (p npmPackage) install(ctx context.Context, t Tool, dir string) error {
	overrides := p.overrides
	if overrides == "" {
		overrides = "{}"
	}
	project := fmt.Sprintf(`{"dependencies":{%q:%q},"overrides":%s}`, t.Package, t.Version, overrides)
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(project), 0o600); err != nil {
		return err
	}
	return run(ctx, dir, nil, "npm", "install", "--prefix="+dir, "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev")
}
