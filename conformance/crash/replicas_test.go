package crash

import (
	"math/rand/v2"
	"testing"
)

// allReplicas stands for every replica, or the one process that there is.
const allReplicas = -1

// victim chooses what is killed: one replica or all.
func (n *node) victim(r *rand.Rand) int {
	if n.server == nil || len(n.server.Replicas) == 0 {
		return allReplicas
	}
	return r.IntN(len(n.server.Replicas)+1) - 1
}

// killOnly kills one replica, or all.
func (n *node) killOnly(victim int) error {
	if victim == allReplicas {
		return n.kill()
	}
	return n.server.Replicas[victim].Kill()
}

// revive starts a killed replica beside the others.
func (n *node) revive(t *testing.T, victim int) {
	t.Helper()
	if err := n.server.Restart(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	n.ready = n.server.Replicas[victim].StartedIn
}
