package lease

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Process names this process among all of all machines: boot ID, namespace of
// process IDs, process ID and start time. It is "" where the system does not
// tell them.
func Process() string {
	place, ok := place()
	if !ok {
		return ""
	}
	start, ok := startTime(os.Getpid())
	if !ok {
		return ""
	}
	return place + "/" + strconv.Itoa(os.Getpid()) + "/" + start
}

// Dead reports whether a process was of this machine and runs no more. What it
// does not know, it takes for alive.
func Dead(process string) bool {
	place, ok := place()
	if !ok {
		return false
	}
	rest, ok := strings.CutPrefix(process, place+"/")
	if !ok {
		return false
	}
	id, start, ok := strings.Cut(rest, "/")
	pid, err := strconv.Atoi(id)
	if !ok || err != nil || pid <= 0 {
		return false
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return false
	}
	now, running := startTime(pid)
	return !running || now != start
}

// place is the boot and the namespace in which process IDs are unique.
func place() (string, bool) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", false
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(string(boot)) + "/" + namespace, true
}

// startTime returns the 22nd field of a process's stat. The second one, the
// program's name in parentheses, may contain anything. A zombie does not run.
func startTime(pid int) (string, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, start = 0, 19
	if len(fields) <= start || string(fields[state]) == "Z" || string(fields[state]) == "X" {
		return "", false
	}
	return string(fields[start]), true
}
