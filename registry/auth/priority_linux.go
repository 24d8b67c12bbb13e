package auth

import "syscall"

// behind is how much later than others a thread that hashes is scheduled.
const behind = 10

// yieldToOthers makes the kernel prefer every other thread to this one: on
// Linux each thread has a nice value of its own, and raising it takes no right.
// Where a sandbox refuses, hashing goes on as it was.
func yieldToOthers() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, behind) }
