package httpblob

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"example.com/nixs3/store/blob"
)

// request is what one operation asks for, as often as it takes.
type request struct {
	op      string
	method  string
	url     *url.URL
	key     string
	header  http.Header
	content blob.Content // of a PUT
}

// do sends a request until there is an answer that another attempt would not
// mend. The caller closes the body.
func (b *Bucket) do(ctx context.Context, req request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := b.send(ctx, req)
		if ctx.Err() != nil {
			if err == nil {
				resp.Body.Close()
			}
			return nil, b.error(req.op, req.key, context.Cause(ctx))
		}
		if err == nil && !passing(resp.StatusCode) {
			return resp, nil
		}
		if err != nil && !retriable(err) || attempt >= b.opts.Retry.Attempts {
			if err != nil {
				return nil, b.error(req.op, req.key, err)
			}
			return resp, nil
		}
		delay := b.opts.Retry.delay(attempt, resp)
		b.opts.Logger.WarnContext(ctx, "request failed and is tried again",
			"op", req.op, "bucket", b.String(), "key", req.key, "attempt", attempt, "delay", delay, "reason", reason(resp, err))
		if resp != nil {
			drain(resp)
		}
		if err := sleep(ctx, delay); err != nil {
			return nil, b.error(req.op, req.key, err)
		}
	}
}

// send makes one attempt.
func (b *Bucket) send(ctx context.Context, req request) (*http.Response, error) {
	r := (&http.Request{Method: req.method, URL: req.url, Host: req.url.Host, Header: make(http.Header)}).WithContext(ctx)
	maps.Copy(r.Header, req.header)
	r.Header.Set("User-Agent", "nixs3")
	if b.isOrigin(req.url) {
		maps.Copy(r.Header, b.opts.Header)
		b.authenticate(r, b.login)
	} else {
		b.authenticate(r, nil)
	}
	if req.content == nil {
		return b.client.Do(r)
	}
	body := &sentBody{content: req.content}
	r.ContentLength = req.content.Size()
	if r.ContentLength < 0 {
		return nil, &contentError{errors.New("its size is negative")}
	}
	if r.ContentLength > 0 {
		r.Body = body.open()
		r.GetBody = func() (io.ReadCloser, error) { return body.open(), nil }
	}
	if r.ContentLength > expectAbove {
		r.Header.Set("Expect", "100-continue") // hear of a refusal before sending it all
	}
	resp, err := b.client.Do(r)
	if broken := body.broken(); broken != nil {
		if err == nil {
			resp.Body.Close()
		}
		return nil, broken
	}
	return resp, err
}

// authenticate adds a login, from the URL or the netrc file.
func (b *Bucket) authenticate(r *http.Request, login *url.Userinfo) {
	if login == nil {
		login = b.netrc[r.URL.Hostname()]
	}
	if login != nil && r.Header.Get("Authorization") == "" {
		password, _ := login.Password()
		r.SetBasicAuth(login.Username(), password)
	}
}

// passing tells whether an answer may be another one soon.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retriable tells whether an attempt that got no answer is worth another. All
// are, since PUT and DELETE do the same however often, but those that fail by
// themselves.
func retriable(err error) bool {
	var content *contentError
	return !errors.As(err, &content) && !isPermanent(err)
}

func reason(resp *http.Response, err error) any {
	if err != nil {
		return err
	}
	return resp.Status
}

// delay is how long to wait after the attempt, counted from 1.
func (r Retry) delay(attempt int, resp *http.Response) time.Duration {
	base := r.Delay
	if resp != nil {
		if d, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			return min(d, r.MaxDelay)
		}
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
			base = r.RateLimitedDelay
		}
	}
	d := r.MaxDelay
	if attempt < 30 {
		d = min(base<<(attempt-1), r.MaxDelay)
	}
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d/2+1)
}

// retryAfter reads a Retry-After: seconds, or a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now)), true
	}
	return 0, false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
