package server

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// networkMagics are the f_type values of statfs(2) of file systems that other
// machines write too, where SQLite's locks and shared memory do not hold.
var networkMagics = map[uint32]string{
	0x6969:     "nfs",
	0x517b:     "smb",
	0xfe534d42: "smb2",
	0xff534d42: "cifs",
	0x01021997: "9p",
	0x00c36400: "ceph",
	0x5346414f: "afs",
	0x0bd00bd0: "lustre",
	0x47504653: "gpfs",
	0x01161970: "gfs2",
	0x7461636f: "ocfs2",
}

const fuseMagic = 0x65735546

var networkFUSE = []string{"fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.glusterfs", "fuse.davfs", "fuse.curlftpfs", "fuse.goofys", "fuse.mount-s3", "fuse.juicefs", "fuse.cephfs"}

// networkFileSystem names the network file system that dir is on. What cannot
// be told is taken for local.
func networkFileSystem(dir string) (name string, remote bool) {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return "", false
	}
	magic := uint32(st.Type) // the kernel's values are 32 bits, sign-extended
	if magic == fuseMagic {
		name = mountedType(dir)
		return name, slices.Contains(networkFUSE, name)
	}
	name, remote = networkMagics[magic]
	return name, remote
}

// mountedType looks up dir's device in /proc/self/mountinfo, proc(5).
func mountedType(dir string) string {
	fi, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	device := fmt.Sprintf("%d:%d", st.Dev>>8&0xfff, st.Dev&0xff|st.Dev>>12&0xfff00)
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(before); len(fields) > 2 && fields[2] == device {
			return strings.Fields(after + " ?")[0]
		}
	}
	return ""
}
