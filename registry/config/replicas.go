package config

import "time"

// Database says where everything that is not bytes lies.
type Database struct {
	URL         Secret   `yaml:"url" doc:"postgres:// URL that all replicas share; empty for SQLite in the data directory"`
	Connections int      `yaml:"connections" doc:"most connections to PostgreSQL that this replica opens"`
	StaleReads  Duration `yaml:"stale_reads" doc:"while PostgreSQL is away, how old an answer from memory may be; 0 for none: reads answer 503"`
}

// Redis is a cache that replicas share.
type Redis struct {
	Addrs            []string `yaml:"addrs" doc:"HOST:PORT of one server, of the sentinels, or of some nodes of a cluster; empty for no Redis"`
	Master           string   `yaml:"master" doc:"name of the master that the sentinels watch; empty where addrs are no sentinels"`
	Cluster          bool     `yaml:"cluster" doc:"addrs are nodes of a cluster"`
	Username         string   `yaml:"username" doc:"user name; empty for the default user"`
	Password         Secret   `yaml:"password" doc:"password; empty for none"`
	SentinelPassword Secret   `yaml:"sentinel_password" doc:"password of the sentinels; empty for none"`
	DB               int      `yaml:"db" doc:"number of the database; 0 on a cluster"`
	TLS              bool     `yaml:"tls" doc:"connect over TLS"`
	CACert           string   `yaml:"ca_cert" doc:"PEM file of authorities to trust beside the system's"`
	Timeout          Duration `yaml:"timeout" doc:"how long Redis may take to answer before the database is asked"`
	TTL              Duration `yaml:"ttl" doc:"how long an entry is kept there"`
}

// Enabled tells whether there is a Redis.
func (r Redis) Enabled() bool { return len(r.Addrs) > 0 }

// Redirect sends readers of blobs to the storage itself.
type Redirect struct {
	Enabled      bool     `yaml:"enabled" doc:"answer GET of a blob with a redirect to a signed URL of the storage, where the driver can sign"`
	Repositories []string `yaml:"repositories" doc:"globs of the repositories whose blobs are redirected; empty for all"`
	Except       []string `yaml:"except" doc:"globs of the repositories whose blobs are not"`
	MinSize      Bytes    `yaml:"min_size" doc:"smaller blobs are sent by the server itself"`
}

// Middleware is one of distribution's storage middlewares, which sign URLs of
// a content delivery network.
type Middleware struct {
	Name   string `yaml:"name" doc:"cloudfront, redirect or rewrite; empty for none"`
	Params Params `yaml:"params" doc:"the middleware's own parameters, by its own names"`
}

const defaultRedisTimeout = 100 * time.Millisecond
