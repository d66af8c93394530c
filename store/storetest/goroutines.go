package storetest

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// goroutines returns the stacks of all goroutines by their number.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := make(map[string]string)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		// "goroutine 7 [running]:…"
		if fields := strings.Fields(stack); len(fields) > 1 {
			stacks[fields[1]] = stack
		}
	}
	return stacks
}

// goroutineGrace is how long goroutines may take to end. It is long because
// machines may be slow.
const goroutineGrace = 20 * time.Second

// NoLeaks fails the test if goroutines run at its end that were started after the
// call of NoLeaks.
func NoLeaks(t *testing.T) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() { requireNoNewGoroutines(t, before) })
}

// requireNoNewGoroutines ends the test if goroutines keep running that were not
// running before.
func requireNoNewGoroutines(t *testing.T, before map[string]string) {
	t.Helper()
	deadline := time.Now().Add(goroutineGrace)
	for wait := time.Millisecond; ; wait *= 2 {
		leaked := goroutines()
		for id := range before {
			delete(leaked, id)
		}
		if len(leaked) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, stack := range leaked {
				t.Errorf("leaked %s", stack)
			}
			t.FailNow()
		}
		time.Sleep(wait)
	}
}
