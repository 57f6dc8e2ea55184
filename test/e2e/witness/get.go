package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// mounted is where a pod has its token and, beside it, the authority that signs the API server's certificate.
const mounted = "/var/run/secrets/kubernetes.io/serviceaccount/"

// trusting is a client that trusts the authority in the file alone.
func trusting(authority string) (*http.Client, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", authority)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}}, nil
}

// get prints what an HTTPS URL answers, if its certificate is of the authority, by default the cluster's, and for the
// URL's host.
func get(args []string) error {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	authority := flags.String("authority", mounted+"ca.crt", "file of the authority of the server's certificate")
	token := flags.Bool("token", false, "ask as the pod's service account")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("usage: witness get [--authority=FILE] [--token] https://HOST/PATH")
	}
	client, err := trusting(*authority)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, flags.Arg(0), nil)
	if err != nil {
		return err
	}
	if *token {
		own, err := os.ReadFile(mounted + "token")
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+string(own))
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}
