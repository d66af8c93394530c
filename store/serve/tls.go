package serve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// TLS is a certificate that is read again when its files have changed.
type TLS struct{ config *tls.Config }

// OpenTLS reads a certificate and its key, in PEM. With a file of certificate
// authorities, clients may show a certificate under one of them.
func OpenTLS(certFile, keyFile, clientCAFile string, logger *slog.Logger) (*TLS, error) {
	load := func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		return &cert, err
	}
	warn := func(err error) {
		if logger != nil {
			logger.Error("the certificate stays as it was", "error", err)
		}
	}
	cert, err := newReloaded([]string{certFile, keyFile}, load, warn)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.get(), nil },
	}
	if clientCAFile != "" {
		text, err := os.ReadFile(clientCAFile)
		if err != nil {
			return nil, err
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: %w", clientCAFile, errors.New("expected certificates in PEM, got none"))
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return &TLS{config}, nil
}
