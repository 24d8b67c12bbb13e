package main

import (
	// The storage drivers that configuration can name, beside those that
	// storage/blob brings: they register themselves. Linked here and not there,
	// so that tests of other packages do without three cloud SDKs.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/azure"  // "azure"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/gcs"    // "gcs"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws" // "s3aws"
)
