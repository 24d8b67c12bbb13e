// Package image builds the container image as its Dockerfile says, with a Docker Engine of its own, and runs it the way a
// careful operator does: as nobody, with a read-only root file system, without capabilities. The image is pushed into the
// registry that runs in it, and pulled and run by another engine that has never seen it.
//
// Nothing can be pulled here, so what is built is the Dockerfile's stage `prebuilt`.
package image
