// Command testserver is what extends the API from inside a pod in the tests: admission and conversion webhooks, a small
// aggregated API and the metrics APIs, over TLS.
//
//	testserver --listen=:8443 --tls=/tls
//
// The folder named by --tls holds tls.crt and tls.key. With front-proxy.crt in it, a client certificate of that
// authority is what makes X-Remote-User believable.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	listen := flag.String("listen", ":8443", "address to serve on")
	dir := flag.String("tls", "/tls", "folder of tls.crt, tls.key and, for an aggregated API, front-proxy.crt")
	group := flag.String("group", "weather.e2e.pilotis.dev", "group of the aggregated API")
	flag.Parse()
	config, err := tlsConfig(*dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testserver:", err)
		return 1
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	hooks(mux)
	(&weather{group: *group}).serve(mux)
	metrics(mux)
	server := &http.Server{Addr: *listen, Handler: mux, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintln(os.Stderr, "testserver:", server.ListenAndServeTLS("", ""))
	return 1
}

func tlsConfig(dir string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	authority, err := os.ReadFile(filepath.Join(dir, "front-proxy.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return nil, err
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s/front-proxy.crt holds no certificate", dir)
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // a client that has gone needs no answer
}
