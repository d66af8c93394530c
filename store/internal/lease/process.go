package lease

import (
	"os"
	"os/user"
	"strconv"
)

// Holder describes this process for people: user, machine and process ID.
func Holder() string {
	name := "?"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return name + "@" + host + ", process " + strconv.Itoa(os.Getpid())
}
