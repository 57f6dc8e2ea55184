package probes

import (
	"context"
	"time"
)

// tcpProbe succeeds when a connection can be opened.
func tcpProbe(ctx context.Context, address string, timeout time.Duration) (answer, error) {
	d := newDialer()
	d.Timeout = timeout
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return failed("%v", err)
	}
	conn.Close() // the open connection was the answer
	return answer{outcome: success}, nil
}
