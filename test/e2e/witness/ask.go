package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// ask asks each address --count times and prints a line an answer: what witness serve said, or refused, timeout, or
// another error.
func ask(args []string) error {
	flags := flag.NewFlagSet("ask", flag.ContinueOnError)
	count := flags.Int("count", 1, "times")
	every := flags.Duration("every", 0, "time between two")
	timeout := flags.Duration("timeout", time.Second, "time to wait for an answer")
	from := flags.Int("from", 0, "port to ask from over UDP, so that all datagrams are one flow")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for i := range *count {
		if i > 0 {
			time.Sleep(*every)
		}
		for _, target := range flags.Args() {
			answer, err := once(target, *from, *timeout)
			fmt.Println(outcome(answer, err))
		}
	}
	return nil
}

func once(target string, from int, timeout time.Duration) (string, error) {
	network, address, ok := strings.Cut(target, "://")
	if !ok {
		return "", fmt.Errorf("%s is not protocol://host:port", target)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := dial(ctx, network, address, from)
	if err != nil {
		return "", err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return "", err
	}
	if network == "udp" {
		if _, err := c.Write([]byte("who?")); err != nil {
			return "", err
		}
	}
	return bufio.NewReader(c).ReadString('\n')
}

func dial(ctx context.Context, network, address string, from int) (net.Conn, error) {
	if network == "sctp" {
		return dialSCTP(address)
	}
	d := net.Dialer{}
	if network == "udp" && from != 0 {
		d.LocalAddr = &net.UDPAddr{Port: from}
	}
	return d.DialContext(ctx, network, address)
}

func outcome(answer string, err error) string {
	switch timeout := net.Error(nil); {
	case err == nil:
		return strings.TrimSpace(answer)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "error: " + err.Error()
}
