//go:build !unix

package main

import (
	"errors"
	"fmt"
)

func lockFolder(string) (func() error, error) {
	return nil, fmt.Errorf("locking a folder: %w", errors.ErrUnsupported)
}
