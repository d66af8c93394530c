package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"example.com/nixs3/store"
)

// progress shows how far a copy has come: with a bar on a terminal, with a
// line every few seconds elsewhere.
type progress struct {
	show func(store.Progress)
	end  func()
}

func newProgress(con *console) progress {
	if con.quiet {
		return progress{show: func(store.Progress) {}, end: func() {}}
	}
	if con.terminal {
		return barProgress(con.stderr)
	}
	return lineProgress(con.stderr, 5*time.Second)
}

func barProgress(w io.Writer) progress {
	bar := progressbar.NewOptions64(1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	)
	return progress{
		show: func(p store.Progress) {
			if p.NARBytesTotal == 0 {
				return
			}
			bar.ChangeMax64(p.NARBytesTotal)
			bar.Describe(fmt.Sprintf("%d/%d paths", p.Paths, p.PathsTotal))
			_ = bar.Set64(p.NARBytes)
		},
		end: func() { _ = bar.Exit() },
	}
}

func lineProgress(w io.Writer, every time.Duration) progress {
	last := time.Now()
	return progress{
		show: func(p store.Progress) {
			if time.Since(last) < every {
				return
			}
			last = time.Now()
			fmt.Fprintf(w, "%d of %d paths, %s of %s\n", p.Paths, p.PathsTotal, size(p.NARBytes), size(p.NARBytesTotal))
		},
		end: func() {},
	}
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for f >= 1024 && unit < len("KMGTPE") {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[unit-1])
}
