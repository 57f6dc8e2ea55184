package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

// guestbook is one part of a guest book. The leader keeps the entries in their order, as long as it lives; a follower of
// it has a copy to read; the frontend sends writers to the leader and readers to the followers.
//
//	POST /entries?entry=TEXT       writes an entry
//	GET  /entries                  gives all as a JSON list
//	GET  /entries?after=2          gives those behind the first two, as soon as there are some
func guestbook(args []string) error {
	flags := flag.NewFlagSet("guestbook", flag.ContinueOnError)
	listen := flags.String("listen", ":6379", "address to serve on")
	leader := flags.String("leader", "", "URL of the leader; empty: this is the leader")
	followers := flags.String("followers", "", "URL of the followers; with it this is the frontend")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pages := &book{written: make(chan struct{})}
	handler := http.NewServeMux()
	switch {
	case *followers != "":
		frontend, err := between(*leader, *followers)
		if err != nil {
			return err
		}
		handler.Handle("/", frontend)
	case *leader != "":
		go pages.follow(*leader)
	default:
		handler.HandleFunc("POST /entries", func(_ http.ResponseWriter, r *http.Request) { pages.add(r.URL.Query().Get("entry")) })
	}
	if *followers == "" {
		handler.HandleFunc("GET /entries", pages.read)
	}
	return (&http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second, Handler: handler}).ListenAndServe()
}

// between is the frontend of a leader and its followers.
func between(leader, followers string) (http.Handler, error) {
	writers, writeErr := url.Parse(leader)
	readers, readErr := url.Parse(followers)
	if err := errors.Join(writeErr, readErr); err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if r.In.Method == http.MethodPost {
			r.SetURL(writers)
		} else {
			r.SetURL(readers)
		}
	}}, nil
}

type book struct {
	mu      sync.Mutex
	entries []string
	written chan struct{} // is closed at the next entry
}

func (b *book) add(entries ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, entries...)
	close(b.written)
	b.written = make(chan struct{})
}

// behind waits until there are more than the first n entries, and gives them.
func (b *book) behind(ctx context.Context, n int) []string {
	for {
		b.mu.Lock()
		entries, written := b.entries, b.written
		b.mu.Unlock()
		if len(entries) > n {
			return entries[n:]
		}
		select {
		case <-ctx.Done():
			return nil
		case <-written:
		}
	}
}

func (b *book) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.entries...)
}

func (b *book) read(w http.ResponseWriter, r *http.Request) {
	entries := b.all()
	if after := r.URL.Query().Get("after"); after != "" {
		n, err := strconv.Atoi(after)
		if err != nil || n < 0 {
			http.Error(w, "after is a number of entries, not "+after, http.StatusBadRequest)
			return
		}
		entries = b.behind(r.Context(), n)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(entries) // a reader that has gone needs no answer
}

// follow copies what the leader has, for ever.
func (b *book) follow(leader string) {
	for {
		if err := b.copyFrom(leader); err != nil {
			fmt.Fprintln(os.Stderr, "witness: the leader does not answer:", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
}

func (b *book) copyFrom(leader string) error {
	answer, err := http.Get(leader + "/entries?after=" + strconv.Itoa(len(b.all())))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	var more []string
	if err := json.NewDecoder(answer.Body).Decode(&more); err != nil {
		return err
	}
	b.add(more...)
	return nil
}
