package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

const (
	envPrefix  = "PACKHOUSE_"
	fileSuffix = "_FILE"
)

// fromEnv applies the variables in name order, so that the outcome does not
// depend on the order of the environment.
func fromEnv(c *Config, env []string) (problems []error) {
	for _, pair := range slices.Sorted(slices.Values(env)) {
		name, value, _ := strings.Cut(pair, "=")
		key, isOurs := envKey(name)
		if !isOurs {
			continue
		}
		if err := setEnv(c, name, key, value); err != nil {
			problems = append(problems, fmt.Errorf("environment variable %s: %w", name, err))
		}
	}
	return problems
}

// envKey turns PACKHOUSE_LOG__LEVEL into log.level.
func envKey(name string) (key string, isOurs bool) {
	rest, ok := strings.CutPrefix(name, envPrefix)
	if !ok {
		return "", false
	}
	key = strings.ToLower(strings.ReplaceAll(rest, "__", "."))
	if strings.Contains(key, ".") {
		return key, true
	}
	_, known := find(reflect.TypeFor[Config](), strings.TrimSuffix(key, "_file"))
	return key, known
}

func setEnv(c *Config, name, key, value string) error {
	if !strings.HasSuffix(name, fileSuffix) {
		return setText(c, key, value)
	}
	content, err := os.ReadFile(value)
	if err != nil {
		return fmt.Errorf("read the value: %w", err)
	}
	return setText(c, strings.TrimSuffix(key, strings.ToLower(fileSuffix)), strings.TrimRight(string(content), "\r\n"))
}
