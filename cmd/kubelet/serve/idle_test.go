package serve

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestIdleStreamsEnd: what the client sent with its request arrives, bytes in either direction keep the stream, silence ends it.
func TestIdleStreamsEnd(t *testing.T) {
	const after = 300 * time.Millisecond
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := idleLimit{w, after}.Hijack()
		if err != nil {
			ended <- err
			return
		}
		defer conn.Close()
		_, err = io.Copy(conn, buffered)
		ended <- err
	}))
	defer server.Close()
	client, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly\n"); err != nil {
		t.Fatal(err)
	}
	echo := bufio.NewReader(client)
	if line, err := echo.ReadString('\n'); err != nil || line != "early\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	began := time.Now()
	for time.Since(began) < 2*after {
		time.Sleep(after / 6)
		if _, err := io.WriteString(client, "more\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := echo.ReadString('\n'); err != nil || line != "more\n" {
			t.Fatalf("after %s got %q, %v", time.Since(began), line, err)
		}
	}
	select {
	case err := <-ended:
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a silent stream goes on")
	}
}
