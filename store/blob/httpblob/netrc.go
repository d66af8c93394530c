package httpblob

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// netrc are logins by host name.
type netrc map[string]*url.Userinfo

// maxNetrc bounds the size of a netrc file.
const maxNetrc = 1 << 20

func readNetrc(name string) (netrc, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxNetrc+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxNetrc {
		return nil, fmt.Errorf("netrc file %s has more than %d bytes", name, maxNetrc)
	}
	return parseNetrc(string(data)), nil
}

// parseNetrc reads machine, login and password, and skips all else. The first
// entry of a machine counts. There is no use for "default", which would send a
// password to whichever host a narinfo names.
func parseNetrc(text string) netrc {
	logins := make(netrc)
	var machine, login, password string
	known := false
	end := func() {
		if known && logins[machine] == nil {
			logins[machine] = url.UserPassword(login, password)
		}
		machine, login, password, known = "", "", "", false
	}
	inMacro := false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if inMacro {
			inMacro = len(words) > 0 // a macro ends with an empty line
			continue
		}
		for i := 0; i < len(words); i++ {
			word := words[i]
			if strings.HasPrefix(word, "#") {
				break
			}
			next := func() string {
				if i++; i < len(words) {
					return words[i]
				}
				return ""
			}
			switch word {
			case "machine":
				end()
				machine, known = next(), true
			case "default":
				end()
			case "login":
				login = next()
			case "password":
				password = next()
			case "account":
				next()
			case "macdef":
				inMacro = true
				i = len(words)
			}
		}
	}
	end()
	return logins
}
