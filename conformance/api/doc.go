// Package api checks that what the API says of itself is a valid OpenAPI 3.1 document, and that real requests and
// answers, refusals too, are as it says. The judge is pb33f/libopenapi with its validator.
package api
