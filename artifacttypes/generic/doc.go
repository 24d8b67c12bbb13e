// Package generic keeps files of any kind under a name and a version, by HTTP:
//
//	PUT    /NAME/VERSION/FILE       adds a file; FILE may contain slashes
//	GET    /NAME/VERSION/FILE       reads it, whole or in part
//	GET    /, /NAME, /NAME/VERSION  lists: JSON, or HTML for browsers
//	DELETE /NAME/VERSION            withdraws a version
//
// In a manifest each file is a layer titled FILE. Name and version are in the
// annotations, or else the repository's name and the tag.
package generic
