package s3blob

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"example.com/nixs3/store/blob/internal/wire"
)

// reloaded are the credentials of a configuration that is loaded again when its
// files change, so that requests use keys that another program has renewed. The
// SDK reads the files once.
type reloaded struct {
	load func(context.Context) (aws.CredentialsProvider, error)

	mu      sync.Mutex
	current aws.CredentialsProvider
	seen    [2]wire.Version
	looked  time.Time
}

// reloadTime is the least time between two looks at the files.
const reloadTime = time.Second

func newReloaded(current aws.CredentialsProvider, load func(context.Context) (aws.CredentialsProvider, error)) *reloaded {
	return &reloaded{load: load, current: current, seen: filesNow(), looked: time.Now()}
}

// filesNow returns the states of the shared configuration's files.
func filesNow() (now [2]wire.Version) {
	for i, name := range sharedFiles() {
		now[i] = wire.VersionOf(name)
	}
	return now
}

func (r *reloaded) Retrieve(ctx context.Context) (aws.Credentials, error) {
	return r.provider(ctx).Retrieve(ctx)
}

// provider returns the provider for the current files. Files without usable
// credentials, which may be half written, leave the previous one in place.
func (r *reloaded) provider(ctx context.Context) aws.CredentialsProvider {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.looked) >= reloadTime {
		r.looked = now
		if files := filesNow(); files != r.seen {
			fresh, err := r.load(ctx)
			if err == nil {
				_, err = fresh.Retrieve(ctx)
			}
			if err == nil {
				r.current, r.seen = fresh, files
			}
		}
	}
	return r.current
}

// ProviderSources returns the names that the SDK puts into its User-Agent.
func (r *reloaded) ProviderSources() []aws.CredentialSource {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.current.(aws.CredentialProviderSource); ok {
		return p.ProviderSources()
	}
	return nil
}
