package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

func (versionCommand) Run(con *console) error {
	_, err := fmt.Fprintln(con.stdout, version())
	return err
}

// version names the module's version and the commit that the program was built
// from, as far as the build recorded them.
func version() string {
	v, commit, changed := "(devel)", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = " commit " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	return fmt.Sprintf("nixs3 %s%s%s %s %s/%s", v, commit, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
