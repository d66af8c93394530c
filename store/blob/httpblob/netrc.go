package httpblob

import (
	"fmt"
	"net/url"
	"strings"
)

// netrc maps host names in lower case to logins.
type netrc map[string]*url.Userinfo

func readNetrc(name string) (netrc, error) {
	text, err := readBounded(name)
	if err != nil {
		return nil, fmt.Errorf("netrc file: %w", err)
	}
	return parseNetrc(text), nil
}

// parseNetrc reads machine, login and password, and skips all else. The first
// entry of a machine counts. "default" is skipped: it would send a password to
// whichever host a narinfo names.
func parseNetrc(text string) netrc {
	logins := make(netrc)
	var machine, login, password string
	known := false
	end := func() {
		machine = strings.ToLower(machine)
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
