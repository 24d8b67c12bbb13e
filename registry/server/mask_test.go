package server

import "testing"

func TestMaskedURI(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/v2/acme/app/manifests/latest":                                 "/v2/acme/app/manifests/latest",
		"/v2/acme/app/blobs/uploads/?mount=sha256:00&from=acme/b":       "/v2/acme/app/blobs/uploads/?mount=sha256:00&from=acme/b",
		"/acme/npm/-/user/token/pkh_abcDEF012":                          "/acme/npm/-/user/token/***",
		"/acme/npm/-/user/token/anything%20else":                        "/acme/npm/-/user/token/***",
		"/acme/npm/-/npm/v1/tokens/token/abc?x=1":                       "/acme/npm/-/npm/v1/tokens/token/***?x=1",
		"/acme/npm/-/v1/done?id=1&secret=hush&x=y":                      "/acme/npm/-/v1/done?id=1&secret=***&x=y",
		"/-/login/callback?code=hush&state=hush":                        "/-/login/callback?code=***&state=***",
		"/token?service=h&scope=repository:a:pull&password=hush":        "/token?service=h&scope=repository:a:pull&password=***",
		"/v2/?access_token=hush&API_KEY=hush&x-sig=hush&n=5":            "/v2/?access_token=***&API_KEY=***&x-sig=***&n=5",
		"http://alice:hush@host/v2/":                                    "http://***host/v2/",
		"/acme/generic/x/1/pkh_0123/y":                                  "/acme/generic/x/1/***/y",
		"/token?account=alice&service=packages&scope=repository:a:pull": "/token?account=alice&service=packages&scope=repository:a:pull",
	} {
		if got := maskedURI(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
