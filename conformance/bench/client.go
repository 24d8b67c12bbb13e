package main

import (
	"fmt"
	"io"
	"net/http"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	// What an OCI client sends when it asks for a manifest.
	acceptHeader = "Accept: " + manifestType + ", application/vnd.oci.image.index.v1+json"
	octetStream  = "Content-Type: application/octet-stream\r\n"
)

func blobPath(repo, digest string) string { return "/v2/" + repo + "/blobs/" + digest }

func manifestPath(repo, reference string) string { return "/v2/" + repo + "/manifests/" + reference }

// beginUpload returns where the upload's first request goes.
func (c *conn) beginUpload(repo, digest string) (string, error) {
	answer, _, err := c.do(request{method: http.MethodPost, target: "/v2/" + repo + "/blobs/uploads/", want: http.StatusAccepted})
	if err != nil {
		return "", err
	}
	return location(answer, digest)
}

// pushBlob pushes content by POST and one PUT.
func (c *conn) pushBlob(repo, digest string, content []byte) error {
	target, err := c.beginUpload(repo, digest)
	if err != nil {
		return err
	}
	_, _, err = c.do(request{method: http.MethodPut, target: target, header: octetStream, raw: content, want: http.StatusCreated})
	return err
}

// pushStream is pushBlob with size bytes of a stream.
func (c *conn) pushStream(repo, digest string, stream io.Reader, size int64) error {
	target, err := c.beginUpload(repo, digest)
	if err != nil {
		return err
	}
	_, _, err = c.do(request{method: http.MethodPut, target: target, header: octetStream, stream: stream, size: size, want: http.StatusCreated})
	return err
}

// pushChunks pushes size bytes of a stream by POST, a PATCH for each chunk, and a PUT without a body.
func (c *conn) pushChunks(repo, digest string, stream io.Reader, size, chunk int64) error {
	target, err := c.beginUpload(repo, "")
	if err != nil {
		return err
	}
	for at := int64(0); at < size; at += chunk {
		n := min(chunk, size-at)
		header := octetStream + fmt.Sprintf("Content-Range: %d-%d\r\n", at, at+n-1)
		answer, _, err := c.do(request{method: http.MethodPatch, target: target, header: header, stream: stream, size: n, want: http.StatusAccepted})
		if err != nil {
			return err
		}
		last := ""
		if at+n == size {
			last = digest
		}
		if target, err = location(answer, last); err != nil {
			return err
		}
	}
	_, _, err = c.do(request{method: http.MethodPut, target: target, want: http.StatusCreated})
	return err
}

// pushImage pushes an image as clients do: each blob is asked for, then pushed, then the manifest is put under its tag.
func (c *conn) pushImage(repo, tag string, im image) error {
	for _, b := range im.blobs {
		if _, _, err := c.do(request{method: http.MethodHead, target: blobPath(repo, b.digest), want: http.StatusNotFound}); err != nil {
			return err
		}
		if err := c.pushBlob(repo, b.digest, b.content); err != nil {
			return err
		}
	}
	return c.putManifest(repo, tag, im.manifest)
}

func (c *conn) putManifest(repo, reference string, manifest []byte) error {
	_, _, err := c.do(request{
		method: http.MethodPut, target: manifestPath(repo, reference), header: "Content-Type: " + manifestType + "\r\n",
		raw: manifest, want: http.StatusCreated,
	})
	return err
}

// get returns the whole body of an answer.
func (c *conn) get(target, header string) ([]byte, error) {
	_, body, err := c.do(request{method: http.MethodGet, target: target, header: header, want: http.StatusOK})
	return body, err
}
