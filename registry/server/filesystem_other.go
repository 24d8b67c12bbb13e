//go:build !linux

package server

// networkFileSystem cannot be told here without cgo.
func networkFileSystem(string) (name string, remote bool) { return "", false }
