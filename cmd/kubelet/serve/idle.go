package serve

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"time"
)

// idleLimit makes the connections that are taken over from w end when nothing moved on them for so long
// (streamingConnectionIdleTimeout).
type idleLimit struct {
	http.ResponseWriter
	after time.Duration
}

// Unwrap is for http.ResponseController.
func (w idleLimit) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w idleLimit) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	limited := &idleConn{Conn: conn, after: w.after}
	limited.moved()
	early, err := buffered.Peek(buffered.Reader.Buffered()) // what came right after the request
	if err != nil {
		return nil, nil, err
	}
	reader := io.MultiReader(bytes.NewReader(bytes.Clone(early)), limited)
	return limited, bufio.NewReadWriter(bufio.NewReader(reader), bufio.NewWriter(limited)), nil
}

// idleConn ends some time after the last byte in either direction.
type idleConn struct {
	net.Conn
	after time.Duration
}

func (c *idleConn) moved() { _ = c.Conn.SetDeadline(time.Now().Add(c.after)) } // fails on a closed connection alone

func (c *idleConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.moved()
	}
	return n, err
}

func (c *idleConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if n > 0 {
		c.moved()
	}
	return n, err
}
