module github.com/packhouse/packhouse/conformance

go 1.26.0
