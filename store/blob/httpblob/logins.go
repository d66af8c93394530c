package httpblob

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"example.com/nixs3/store/blob/internal/wire"
)

// logins are netrc files. They are read again when they change, so that requests
// use a renewed token at once.
type logins struct {
	must bool // the files have to be there

	mu    sync.Mutex
	files []netrcFile
}

type netrcFile struct {
	name string
	seen wire.Version
	netrc
}

// newLogins returns the logins of a file, or of the files of the environment if
// the name is empty.
func newLogins(name string) (*logins, error) {
	l := &logins{must: name != ""}
	names := []string{name}
	if name == "" {
		names = netrcFiles()
	}
	for _, name := range names {
		l.files = append(l.files, netrcFile{name: name})
	}
	_, err := l.login("")
	return l, err
}

// login returns the login for a host, nil where there is none. The first file
// with the host counts.
func (l *logins) login(host string) (*url.Userinfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.files {
		f := &l.files[i]
		now := wire.VersionOf(f.name)
		if now != f.seen || l.must && now == (wire.Version{}) {
			fresh, err := readNetrc(f.name)
			switch {
			case err == nil:
				f.netrc = fresh
			case l.must:
				return nil, err
			default:
				f.netrc = nil // not readable, or gone
			}
			f.seen = now
		}
		if login := f.netrc[host]; login != nil {
			return login, nil
		}
	}
	return nil, nil
}

// netrcFiles returns the files in which Nix and other tools look for logins:
// netrc-file of nix.conf, which is by default the file netrc beside it, and
// ~/.netrc.
func netrcFiles() []string {
	dir := cmp.Or(os.Getenv("NIX_CONF_DIR"), "/etc/nix")
	file := filepath.Join(dir, "netrc")
	home, _ := os.UserHomeDir()
	confs := []string{filepath.Join(dir, "nix.conf")}
	if list, ok := os.LookupEnv("NIX_USER_CONF_FILES"); ok {
		confs = append(confs, filepath.SplitList(list)...)
	} else if base := cmp.Or(os.Getenv("XDG_CONFIG_HOME"), filepath.Join(home, ".config")); home != "" || filepath.IsAbs(base) {
		confs = append(confs, filepath.Join(base, "nix", "nix.conf"))
	}
	for _, conf := range confs {
		file = cmp.Or(netrcSetting(conf, 0), file)
	}
	file = cmp.Or(netrcIn(os.Getenv("NIX_CONFIG")), file)
	files := []string{file}
	if home != "" {
		files = append(files, filepath.Join(home, ".netrc"))
	}
	return files
}

// maxIncludes bounds how deep configuration files include each other.
const maxIncludes = 8

// netrcSetting returns netrc-file of a nix.conf and what it includes, "" where
// it is not set.
func netrcSetting(conf string, depth int) (file string) {
	data, err := readBounded(conf)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(data) {
		words := configWords(line)
		switch {
		case len(words) == 3 && words[0] == "netrc-file" && words[1] == "=":
			file = words[2]
		case len(words) == 2 && (words[0] == "include" || words[0] == "!include") && depth < maxIncludes:
			name := words[1]
			if !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(conf), name)
			}
			file = cmp.Or(netrcSetting(name, depth+1), file)
		}
	}
	return file
}

// netrcIn returns netrc-file of a configuration without includes.
func netrcIn(config string) (file string) {
	for line := range strings.Lines(config) {
		if words := configWords(line); len(words) == 3 && words[0] == "netrc-file" && words[1] == "=" {
			file = words[2]
		}
	}
	return file
}

// configWords returns the words of a line of a nix.conf, without its comment.
func configWords(line string) []string {
	line, _, _ = strings.Cut(line, "#")
	return strings.Fields(line)
}

// maxFile bounds what is read of a configuration or netrc file.
const maxFile = 1 << 20

// readBounded reads a regular file. Opening another kind of file might block.
func readBounded(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	return string(data), err
}
