package httpblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/internal/retry"
	"example.com/nixs3/store/blob/internal/wire"
)

// request is the request of an operation, which may be sent several times.
type request struct {
	op      string
	method  string
	url     *url.URL
	key     string
	header  http.Header
	content blob.Content // of a PUT
}

// do sends a request until there is an answer that another attempt would not
// change. The caller closes the body.
func (b *Bucket) do(ctx context.Context, req request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := b.follow(ctx, req)
		if ctx.Err() != nil {
			if err == nil {
				resp.Body.Close()
			}
			return nil, b.error(req.op, req.key, context.Cause(ctx))
		}
		if err == nil && !retry.IsPassing(resp.StatusCode) {
			return resp, nil
		}
		if err != nil && !retriable(err) || attempt >= b.opts.Retry.Attempts {
			if err != nil {
				return nil, b.error(req.op, req.key, err)
			}
			return resp, nil
		}
		delay := b.delay(attempt, resp)
		b.opts.Logger.WarnContext(ctx, "request failed and is tried again",
			"op", req.op, "bucket", b.String(), "key", req.key, "attempt", attempt, "delay", delay, "reason", reason(resp, err))
		if resp != nil {
			wire.Drain(resp.Body)
		}
		if err := retry.Sleep(ctx, delay); err != nil {
			return nil, b.error(req.op, req.key, err)
		}
	}
}

// delay returns how long to wait after the attempt, counted from 1.
func (b *Bucket) delay(attempt int, resp *http.Response) time.Duration {
	if resp == nil {
		return retry.Delay(b.opts.Retry, attempt, false)
	}
	if d, ok := retry.After(resp.Header, time.Now()); ok {
		return min(d, b.opts.Retry.MaxDelay)
	}
	return retry.Delay(b.opts.Retry, attempt, retry.IsLimited(resp.StatusCode))
}

// follow makes one attempt, and follows redirects.
func (b *Bucket) follow(ctx context.Context, req request) (*http.Response, error) {
	for n := 0; ; n++ {
		resp, err := b.send(ctx, req)
		if err != nil {
			return nil, err
		}
		next, err := redirected(req.method, req.url, resp)
		if err == nil && next == nil {
			return resp, nil
		}
		wire.Drain(resp.Body)
		if err != nil {
			return nil, err
		}
		if n == maxRedirects {
			return nil, &redirectError{fmt.Sprintf("more than %d redirects", maxRedirects)}
		}
		req.url = next
	}
}

// send makes one request.
func (b *Bucket) send(ctx context.Context, req request) (*http.Response, error) {
	r := (&http.Request{Method: req.method, URL: req.url, Host: req.url.Host, Header: make(http.Header)}).WithContext(ctx)
	maps.Copy(r.Header, req.header)
	r.Header.Set("User-Agent", "nixs3")
	if err := b.authorize(r); err != nil {
		return nil, err
	}
	if req.content == nil {
		return b.transport.RoundTrip(r)
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
	resp, err := b.transport.RoundTrip(r)
	if broken := body.broken(); broken != nil {
		if err == nil {
			resp.Body.Close()
		}
		return nil, broken
	}
	return resp, err
}

// authorize adds the headers of the options and a login if the request goes to
// the scheme, host and port of the cache. A netrc file names hosts only. Its
// logins also go to other hosts over https on port 443.
func (b *Bucket) authorize(r *http.Request) error {
	at := originOf(r.URL)
	home := at == originOf(b.base)
	var login *url.Userinfo
	if home {
		header, err := b.header()
		if err != nil {
			return err
		}
		maps.Copy(r.Header, header)
		login = b.login()
	}
	if login == nil && (home || at.scheme == "https" && at.port == "443") {
		var err error
		if login, err = b.netrc.login(at.host); err != nil {
			return err
		}
	}
	if login != nil && r.Header.Get("Authorization") == "" {
		password, _ := login.Password()
		r.SetBasicAuth(login.Username(), password)
	}
	return nil
}

// retriable reports whether a request without an answer is repeated. PUT and
// DELETE are idempotent, so only failures that would happen again are not.
func retriable(err error) bool {
	_, content := errors.AsType[*contentError](err)
	return !content && !isPermanent(err)
}

func reason(resp *http.Response, err error) any {
	if err != nil {
		return err
	}
	return resp.Status
}
