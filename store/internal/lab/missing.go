// Package lab has what the tests of this project share: the real Nix that is
// installed on the machine ([NewNix]), the real S3 servers that .ci/lab starts
// ([Servers]) and the corpus of binary caches that a real Nix wrote ([Cache]).
package lab

import (
	"os"
	"testing"
)

// Missing skips the test because the machine lacks something, which the text
// says. It fails the test if the environment variable NIXS3_REQUIRE is 1, so
// that a run that must prove something cannot pass by skipping.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("NIXS3_REQUIRE") == "1" {
		t.Fatal(what + ", and NIXS3_REQUIRE=1 requires it")
	}
	t.Skip(what)
}
