package fakes3

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials are the keys that a client signs with.
type Credentials struct {
	AccessKey    string
	SecretKey    string
	SessionToken string    // of temporary credentials
	Expires      time.Time // zero means never
	Access       Access    // NoAccess, the zero value, stands for FullAccess
}

// DefaultCredentials are the credentials that a server knows by default.
var DefaultCredentials = Credentials{AccessKey: "AKIAFAKES3", SecretKey: "fake/secret+key"}

// maxSkew is the greatest difference between the clocks of client and server.
const maxSkew = 15 * time.Minute

const (
	dateFormat = "20060102T150405Z"
	algorithm  = "AWS4-HMAC-SHA256"
)

// signature is what a request says about its own signature.
type signature struct {
	accessKey string
	date      string // the day
	region    string
	service   string
	headers   []string // that are signed
	value     string
	time      time.Time
	expires   time.Duration // of a presigned URL
	presigned bool
	payload   string // hash of the body as it was signed
	pin       string // hash that a presigned URL demands of the body, "" for none

	key []byte // that signed it, once verified
}

func (g *signature) scope() string {
	return g.date + "/" + g.region + "/" + g.service + "/aws4_request"
}

// authenticate verifies the signature of a request, and returns nil where it
// has none.
func (s *Server) authenticate(r *http.Request) (*signature, Access, *apiError) {
	g, fail := parseSignature(r, s.opts.Pins)
	if fail != nil {
		return nil, NoAccess, fail
	}
	if g == nil {
		return nil, s.opts.Anonymous, nil
	}
	now := s.opts.Now()
	if g.presigned {
		if now.After(g.time.Add(g.expires)) || now.Before(g.time.Add(-maxSkew)) {
			return nil, NoAccess, newError(http.StatusForbidden, "AccessDenied", "Request has expired")
		}
	} else if now.Sub(g.time).Abs() > maxSkew {
		return nil, NoAccess, newError(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	}
	c, fail := s.credentialsFor(g.accessKey, sessionToken(r, g), now)
	if fail != nil {
		return nil, NoAccess, fail
	}
	if fail := checkSignedHeaders(r, g); fail != nil {
		return nil, NoAccess, fail
	}
	g.key = signingKey(c.SecretKey, g)
	canonical := canonicalRequest(r, g)
	want := hex.EncodeToString(hmacSHA256(g.key, stringToSign(g, canonical)))
	if !hmac.Equal([]byte(want), []byte(g.value)) {
		return nil, NoAccess, newError(http.StatusForbidden, "SignatureDoesNotMatch",
			"The request signature we calculated does not match the signature you provided. Check your key and signing method. The canonical request is:\n"+canonical)
	}
	if c.Access == NoAccess {
		return g, FullAccess, nil
	}
	return g, c.Access, nil
}

// credentialsFor finds the credentials with an access key.
func (s *Server) credentialsFor(accessKey, token string, now time.Time) (Credentials, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.credentials, func(c Credentials) bool { return c.AccessKey == accessKey })
	if i < 0 {
		return Credentials{}, newError(http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	}
	c := s.credentials[i]
	if c.SessionToken != token {
		return Credentials{}, newError(http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	}
	if !c.Expires.IsZero() && now.After(c.Expires) {
		return Credentials{}, newError(http.StatusBadRequest, "ExpiredToken", "The provided token has expired.")
	}
	return c, nil
}

func sessionToken(r *http.Request, g *signature) string {
	if g.presigned {
		return r.URL.Query().Get("X-Amz-Security-Token")
	}
	return r.Header.Get("X-Amz-Security-Token")
}

// parseSignature reads the signature from the header or the query, nil for
// none.
func parseSignature(r *http.Request, pins Pins) (*signature, *apiError) {
	q := r.URL.Query()
	if q.Has("X-Amz-Algorithm") {
		return parsePresigned(q, pins)
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return nil, malformedAuthorization("it is not " + algorithm)
	}
	fields := make(map[string]string)
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	g := &signature{value: fields["Signature"], payload: r.Header.Get("X-Amz-Content-Sha256")}
	if g.payload == "" {
		return nil, newError(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	return g, g.parse(fields["Credential"], r.Header.Get("X-Amz-Date"), fields["SignedHeaders"])
}

func parsePresigned(q url.Values, pins Pins) (*signature, *apiError) {
	if q.Get("X-Amz-Algorithm") != algorithm {
		return nil, malformedAuthorization("it is not " + algorithm)
	}
	seconds, err := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || seconds < 1 || seconds > 604800 {
		return nil, newError(http.StatusBadRequest, "AuthorizationQueryParametersError", "X-Amz-Expires must be between 1 and 604800 seconds")
	}
	g := &signature{
		value:     q.Get("X-Amz-Signature"),
		payload:   "UNSIGNED-PAYLOAD",
		presigned: true,
		expires:   time.Duration(seconds) * time.Second,
	}
	if pin := q.Get("X-Amz-Content-Sha256"); pin != "" && pins != PinsRefused {
		g.payload, g.pin = pin, pin
		if pins == PinsIgnored {
			g.pin = ""
		}
	}
	return g, g.parse(q.Get("X-Amz-Credential"), q.Get("X-Amz-Date"), q.Get("X-Amz-SignedHeaders"))
}

func (g *signature) parse(credential, date, headers string) *apiError {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[4] != "aws4_request" {
		return malformedAuthorization("the credential is not <key>/<date>/<region>/s3/aws4_request")
	}
	g.accessKey, g.date, g.region, g.service = parts[0], parts[1], parts[2], parts[3]
	if g.service != "s3" {
		return malformedAuthorization(fmt.Sprintf("incorrect service %q; expecting 's3'", g.service))
	}
	var err error
	if g.time, err = time.Parse(dateFormat, date); err != nil {
		return newError(http.StatusForbidden, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
	}
	if g.time.Format("20060102") != g.date {
		return malformedAuthorization("the date of the credential is not that of the request")
	}
	g.headers = strings.Split(headers, ";")
	if !slices.IsSorted(g.headers) || headers == "" {
		return malformedAuthorization("SignedHeaders are empty or not sorted")
	}
	return nil
}

func malformedAuthorization(why string) *apiError {
	return newError(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; "+why)
}

// checkSignedHeaders fails unless the host and all x-amz-* headers are signed.
func checkSignedHeaders(r *http.Request, g *signature) *apiError {
	required := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			required = append(required, name)
		}
	}
	for _, name := range required {
		if !slices.Contains(g.headers, name) {
			return newError(http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed: "+name)
		}
	}
	return nil
}

// canonicalRequest is the form of the request that is signed.
func canonicalRequest(r *http.Request, g *signature) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + uriEncode(r.URL.Path, true) + "\n" + canonicalQuery(r.URL.Query()) + "\n")
	for _, name := range g.headers {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(g.headers, ";") + "\n" + g.payload)
	return b.String()
}

func canonicalQuery(q url.Values) string {
	var params [][2]string
	for name, values := range q {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, value := range values {
			params = append(params, [2]string{uriEncode(name, false), uriEncode(value, false)})
		}
	}
	slices.SortFunc(params, func(x, y [2]string) int {
		return cmp.Or(strings.Compare(x[0], y[0]), strings.Compare(x[1], y[1]))
	})
	pairs := make([]string, len(params))
	for i, p := range params {
		pairs[i] = p[0] + "=" + p[1]
	}
	return strings.Join(pairs, "&")
}

func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// uriEncode escapes all characters except unreserved ones and, if they are kept,
// slashes.
func uriEncode(s string, keepSlash bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0, c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func stringToSign(g *signature, canonical string) string {
	return algorithm + "\n" + g.time.Format(dateFormat) + "\n" + g.scope() + "\n" + hexSHA256([]byte(canonical))
}

func signingKey(secret string, g *signature) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{g.date, g.region, g.service, "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	return key
}

func hmacSHA256(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
