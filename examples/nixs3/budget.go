package main

import "example.com/nixs3/store"

// budgetFlags bound the resources of a command. Zero means the library's default.
type budgetFlags struct {
	MaxMemory    int64 `placeholder:"MIB" help:"Memory in MiB for compression and decompression."`
	MaxTransfers int   `placeholder:"N" help:"Archives to read, and archives to write, at a time."`
	MaxRequests  int   `placeholder:"N" help:"Requests at a time."`
}

func (b budgetFlags) budget() store.Option {
	return store.WithSettings(func(s *store.Settings) {
		if b.MaxMemory > 0 {
			s.Budget.Memory = b.MaxMemory << 20
		}
		if b.MaxTransfers > 0 {
			s.Budget.Transfers = b.MaxTransfers
		}
		if b.MaxRequests > 0 {
			s.Budget.Requests = b.MaxRequests
		}
	})
}
