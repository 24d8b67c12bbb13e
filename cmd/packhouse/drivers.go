package main

import (
	// The storage drivers and middlewares that configuration can name, beside
	// those that storage/blob and registry/server bring: they register
	// themselves. Linked here and not there, so that tests of other packages do
	// without the clouds' SDKs.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/azure"                 // "azure"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/gcs"                   // "gcs"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/middleware/cloudfront" // "cloudfront"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/middleware/redirect"   // "redirect"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/middleware/rewrite"    // "rewrite"
)
