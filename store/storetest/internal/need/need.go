// Package need ends tests for which the machine lacks something.
package need

import (
	"os"
	"testing"
)

// Missing skips the test, saying what is missing, or fails it where the
// environment variable NIXS3_REQUIRE is 1, so that a run meant to prove
// something cannot pass by skipping.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("NIXS3_REQUIRE") == "1" {
		t.Fatal(what + ", and NIXS3_REQUIRE=1 asks for it")
	}
	t.Skip(what)
}
