package config

import "time"

// Config is the whole configuration. Tags name the key and document it.
type Config struct {
	Addr           string    `yaml:"addr" doc:"address for clients, HOST:PORT"`
	MetricsAddr    string    `yaml:"metrics_addr" doc:"address for metrics, profiles and probes, HOST:PORT; empty for none"`
	Data           string    `yaml:"data" doc:"directory of the database and, with the filesystem driver, of all content"`
	ExternalURL    string    `yaml:"external_url" doc:"URL under which clients reach this server; empty to take it from each request"`
	TrustedProxies []Network `yaml:"trusted_proxies" doc:"addresses and networks (CIDR) whose X-Forwarded-* and X-Request-Id headers are believed"`
	Auth           string    `yaml:"auth" doc:"on asks for credentials; auto does where other machines can reach the address, and on loopback once there are users, service accounts or tokens"`
	InsecureOpen   bool      `yaml:"insecure_open" doc:"ask nobody for credentials: whoever reaches the address may read, write and delete"`
	Secrets        Secrets   `yaml:"secrets" doc:"the server's own secrets"`
	Tokens         Tokens    `yaml:"tokens" doc:"tokens that clients log in with"`
	Htpasswd       string    `yaml:"htpasswd" doc:"file of users and bcrypt hashes, as htpasswd -B writes it; empty for none"`
	LDAP           LDAP      `yaml:"ldap" doc:"directory whose users may log in"`
	OIDC           OIDC      `yaml:"oidc" doc:"OpenID Connect"`
	Egress         Egress    `yaml:"egress" doc:"connections that the server opens"`
	Audit          Audit     `yaml:"audit" doc:"the record of all changes"`
	Rates          Rates     `yaml:"rates" doc:"how often and how much a client may ask while credentials are asked for"`
	TLS            TLS       `yaml:"tls" doc:"serve HTTPS; the files are read again when they change"`
	Database       Database  `yaml:"database" doc:"where names, manifests and rights are kept"`
	Redis          Redis     `yaml:"redis" doc:"cache of manifests and names that replicas share; it never decides an answer"`
	Storage        Storage   `yaml:"storage" doc:"where blobs are kept"`
	Formats        Settings  `yaml:"formats" doc:"settings of package formats, by format and key; packhouse format list shows them"`
	Limits         Limits    `yaml:"limits" doc:"what a client may send, and how long it may be silent"`
	Manifests      Manifests `yaml:"manifests" doc:"which manifests are accepted"`
	Uploads        Uploads   `yaml:"uploads" doc:"unfinished uploads"`
	Trash          Trash     `yaml:"trash" doc:"deleted names"`
	GC             GC        `yaml:"gc" doc:"garbage collection"`
	Cache          Cache     `yaml:"cache" doc:"manifests and names kept in memory"`
	Shutdown       Shutdown  `yaml:"shutdown" doc:"stopping without cutting anybody off"`
	Log            Log       `yaml:"log" doc:"what is logged, to standard error"`
}

// TLS names the key pair.
type TLS struct {
	Cert string `yaml:"cert" doc:"PEM file: the certificate and its chain"`
	Key  string `yaml:"key" doc:"PEM file: the private key"`
}

// Enabled tells whether clients are served over TLS.
func (t TLS) Enabled() bool { return t.Cert != "" || t.Key != "" }

// Storage selects a driver of the distribution project.
type Storage struct {
	Driver     string     `yaml:"driver" doc:"filesystem, s3aws, gcs, azure or inmemory"`
	Params     Params     `yaml:"params" doc:"the driver's own parameters, by its own names"`
	Redirect   Redirect   `yaml:"redirect" doc:"sending readers to the storage itself"`
	Middleware Middleware `yaml:"middleware" doc:"a content delivery network in front of the storage"`
}

// Limits bound one request.
type Limits struct {
	Manifest   Bytes    `yaml:"manifest" doc:"largest manifest"`
	Blob       Bytes    `yaml:"blob" doc:"largest blob"`
	Package    Bytes    `yaml:"package" doc:"largest file of a package that its own client publishes"`
	JSON       Bytes    `yaml:"json" doc:"largest body of an administrative request"`
	Header     Bytes    `yaml:"header" doc:"largest request header, all fields together"`
	URL        Bytes    `yaml:"url" doc:"longest request URL"`
	Page       int      `yaml:"page" doc:"most entries in one page of a listing"`
	HeaderRead Duration `yaml:"header_read" doc:"longest time a client may take to send a request header"`
	IdleBody   Duration `yaml:"idle_body" doc:"longest silence while a body is sent or received; a whole transfer has no limit"`
	KeepAlive  Duration `yaml:"keep_alive" doc:"how long a connection may wait for its next request"`
}

// Manifests says what a pushed manifest must satisfy.
type Manifests struct {
	Sparse bool `yaml:"sparse" doc:"accept manifests whose blobs or child manifests are not here"`
}

// Uploads is about sessions that nobody finished.
type Uploads struct {
	TTL Duration `yaml:"ttl" doc:"an upload session without activity for this long is dropped"`
}

// Trash is about names that were deleted or moved.
type Trash struct {
	Window Duration `yaml:"window" doc:"how long a deleted or moved tag, manifest or repository can be restored"`
}

// GC is about content that no name leads to.
type GC struct {
	Lease     Duration `yaml:"lease" doc:"a blob that nothing references is kept at least this long"`
	Every     Duration `yaml:"every" doc:"how often garbage is collected while the server runs; 0 for only when packhouse gc is called"`
	Untagged  Duration `yaml:"untagged" doc:"a manifest that a user pushed and that no tag has led to for this long is garbage; 0 for never"`
	Referrers Duration `yaml:"referrers" doc:"a referrer whose subject has been gone for this long is garbage; 0 for never"`
	Rate      int      `yaml:"rate" doc:"most blobs and manifests that are removed in a second; 0 for no limit"`
}

// Cache bounds memory.
type Cache struct {
	Size Bytes `yaml:"size" doc:"memory for cached manifests and names"`
}

// Shutdown is what SIGTERM does.
type Shutdown struct {
	Delay Duration `yaml:"delay" doc:"how long readiness reports 503 before new connections are refused, for load balancers that poll it"`
	Drain Duration `yaml:"drain" doc:"how long requests under way may take to finish"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error"`
	Format string `yaml:"format" doc:"text or json"`
	Access bool   `yaml:"access" doc:"one line for each request"`
}

// Default is complete and valid: what runs when nothing is set.
func Default() Config {
	return Config{
		Addr:        "127.0.0.1:5000",
		MetricsAddr: "127.0.0.1:5001",
		Data:        "data",
		Auth:        AuthAuto,
		Tokens:      Tokens{TTL: Duration(90 * day), MaxTTL: Duration(366 * day), Grace: Duration(day)},
		LDAP:        LDAP{GroupBy: "(member=%s)", GroupName: "cn"},
		OIDC:        OIDC{Scopes: []string{"profile", "email", "groups"}, NameClaim: "preferred_username", GroupsClaim: "groups"},
		Audit:       Audit{Every: Duration(5 * time.Minute)},
		Rates:       Rates{FailedLogins: 10, FailedBurst: 20, PrincipalUploads: 100, RepositoryUploads: 1000},
		Database:    Database{Connections: 16},
		Redis:       Redis{Timeout: Duration(defaultRedisTimeout), TTL: Duration(day)},
		Storage:     Storage{Driver: "filesystem"},
		Limits: Limits{
			Manifest:   4 * MiB,
			Blob:       20 * GiB,
			Package:    5 * GiB,
			JSON:       1 * MiB,
			Header:     32 * KiB,
			URL:        8 * KiB,
			Page:       1000,
			HeaderRead: Duration(10 * time.Second),
			IdleBody:   Duration(60 * time.Second),
			KeepAlive:  Duration(120 * time.Second),
		},
		Uploads:  Uploads{TTL: Duration(24 * time.Hour)},
		Trash:    Trash{Window: Duration(7 * day)},
		GC:       GC{Lease: Duration(time.Hour), Every: Duration(time.Hour), Referrers: Duration(7 * day)},
		Cache:    Cache{Size: 32 * MiB},
		Shutdown: Shutdown{Drain: Duration(30 * time.Second)},
		Log:      Log{Level: "info", Format: "text", Access: true},
	}
}
