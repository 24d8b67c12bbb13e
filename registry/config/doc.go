// Package config is everything an operator can set: one typed [Config], its
// complete and valid [Default], and the ways a value gets into it.
//
//	Default() < YAML file < environment < flags
//
// It is not a registry of settings by name: nobody asks it for a key. Nothing
// here reads the environment or the command line; [Load] is handed both.
//
// Decoding is strict: an unknown key, a value of the wrong kind or a missing
// secret file stops the start, and the error names file and line, or the
// variable, and the nearest known key. [Config.Check] then reports every
// problem of the values themselves, not the first one.
//
// The environment variable of a key is PACKHOUSE_ and the key in capitals,
// with "__" for each dot: PACKHOUSE_LOG__LEVEL is log.level. Ending it in
// _FILE reads the value from that file, which is how secrets are passed.
// Variables that start with PACKHOUSE_, hold no "__" and are no top-level key
// are left alone: service discovery and build tools make such names.
//
// The keys, their documentation and their types are read from the struct's
// tags; the JSON schema and the printed configuration come from there too.
package config
