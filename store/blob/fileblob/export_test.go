package fileblob

// Observe calls f after every step that changes the directory: create, mkdir,
// sync, rename, link, remove and syncfolder, with the names that it concerns.
// It must be called before the bucket is used.
func (b *Bucket) Observe(f func(step string, names ...string)) { b.observe = f }

// Waiting returns the number of changes that wait for a round.
func (b *Bucket) Waiting() int {
	b.names.mu.Lock()
	defer b.names.mu.Unlock()
	return len(b.names.waiting)
}
