//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package nar

import "os"

// setLinkTime does nothing: links have no times of their own here, or none
// that can be set.
func setLinkTime(*os.Root, string) error { return nil }

// openSelf does nothing: small files are made through the root.
func (d *newDir) openSelf() error { return nil }

func (w *writers) writeFile(s smallFile, contents []byte) error {
	f, err := w.createFile(s.dir.root, s.name, s.executable)
	if err != nil {
		return err
	}
	_, err = f.Write(contents)
	return w.finishFile(s.dir.root, s.name, f, s.executable, err)
}
