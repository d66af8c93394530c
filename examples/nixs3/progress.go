package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"example.com/nixs3/store"
	"example.com/nixs3/store/verify"
)

// progress shows the progress of a copy: a bar on a terminal, a line every few
// seconds elsewhere.
type progress struct {
	show func(store.Progress)
	end  func()
}

// lineEvery is the time between two lines.
const lineEvery = 5 * time.Second

func newProgress(con *console) progress {
	if con.quiet {
		return progress{show: func(store.Progress) {}, end: func() {}}
	}
	if con.terminal {
		return barProgress(con.stderr)
	}
	return lineProgress(con.stderr, lineEvery)
}

func barProgress(w io.Writer) progress {
	update, end := newScreen(w).bar(progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true))
	return progress{
		show: func(p store.Progress) {
			if p.NARBytesTotal == 0 {
				return
			}
			// Each path counts as one byte more. So the bar stays until the last
			// archive is not only read but sent, and the last path published.
			update(p.NARBytesTotal+int64(p.PathsTotal), p.NARBytes+int64(p.Paths), described(p))
		},
		end: end,
	}
}

// described describes the state of a copy.
func described(p store.Progress) string {
	text := fmt.Sprintf("%d/%d paths", p.Paths, p.PathsTotal)
	if len(p.UnderWay) > 0 {
		text += " " + shortened(p.UnderWay[0].Name())
	}
	if len(p.UnderWay) > 1 {
		text += fmt.Sprintf(" +%d", len(p.UnderWay)-1)
	}
	return text
}

// maxShown bounds the characters of a name in a bar.
const maxShown = 18

func shortened(name string) string {
	if len(name) > maxShown { // names of store paths are ASCII
		return name[:maxShown-1] + "…"
	}
	return name
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

// checkProgress shows the progress of a check in the same way.
type checkProgress struct {
	show func(verify.Progress)
	end  func()
}

func newCheckProgress(con *console) checkProgress {
	if con.quiet {
		return checkProgress{show: func(verify.Progress) {}, end: func() {}}
	}
	if con.terminal {
		update, end := newScreen(con.stderr).bar()
		return checkProgress{
			show: func(p verify.Progress) {
				update(int64(max(p.Total, p.Checked)), int64(p.Checked), fmt.Sprintf("%d findings, %s read", p.Findings, size(p.Bytes)))
			},
			end: end,
		}
	}
	last := time.Now()
	return checkProgress{
		show: func(p verify.Progress) {
			if time.Since(last) < lineEvery {
				return
			}
			last = time.Now()
			fmt.Fprintf(con.stderr, "%d of %d paths, %s read, %d findings\n", p.Checked, p.Total, size(p.Bytes), p.Findings)
		},
		end: func() {},
	}
}

// newCounter returns a function that prints a count every few seconds.
func newCounter(con *console, what string) func(done int) {
	last := time.Now()
	return func(done int) {
		if con.quiet || time.Since(last) < lineEvery {
			return
		}
		last = time.Now()
		fmt.Fprintf(con.stderr, "%d %s\n", done, what)
	}
}

// size formats a number of bytes with a binary unit.
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
