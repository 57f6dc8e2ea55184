package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// serve answers every connection and datagram with a line: who answers, at which of its ports, whom. SIGTERM ends it
// after --linger.
func serve(args []string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	name := flags.String("name", host, "who answers")
	tcp := flags.String("tcp", "", "ports, comma separated")
	udp := flags.String("udp", "", "ports, comma separated")
	sctp := flags.String("sctp", "", "ports, comma separated")
	web := flags.String("http", "", "ports of HTTP: the answer to any method and path is who answers, and both; comma separated")
	grpcPort := flags.String("grpc", "", "port of the gRPC health service")
	linger := flags.Duration("linger", 0, "time to go on after SIGTERM")
	if err := flags.Parse(args); err != nil {
		return err
	}
	failed := make(chan error)
	start := func(ports string, listen func(port string) error) {
		for _, port := range strings.FieldsFunc(ports, func(r rune) bool { return r == ',' }) {
			go func() { failed <- fmt.Errorf("port %s: %w", port, listen(port)) }()
		}
	}
	start(*tcp, func(port string) error {
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		return answerConnections(l, *name)
	})
	start(*sctp, func(port string) error {
		l, err := listenSCTP(port)
		if err != nil {
			return err
		}
		return answerConnections(l, *name)
	})
	start(*udp, func(port string) error { return answerDatagrams(port, *name) })
	start(*web, func(port string) error { return serveHTTP(port, *name) })
	start(*grpcPort, serveHealth)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	select {
	case err := <-failed:
		return err
	case <-signals:
		time.Sleep(*linger) // what the flag asks for
		return nil
	}
}

func line(name string, local, peer net.Addr) string {
	_, port, _ := net.SplitHostPort(local.String())
	from, _, _ := net.SplitHostPort(peer.String())
	return name + " " + port + " " + strings.TrimPrefix(from, "::ffff:") + "\n"
}

func answerConnections(l net.Listener, name string) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprint(c, line(name, c.LocalAddr(), c.RemoteAddr())) // a client that has gone needs no answer
		c.Close()
	}
}

func answerDatagrams(port, name string) error {
	c, err := net.ListenPacket("udp4", ":"+port)
	if err != nil {
		return err
	}
	buffer := make([]byte, 1500)
	for {
		_, peer, err := c.ReadFrom(buffer)
		if err != nil {
			return err
		}
		_, _ = c.WriteTo([]byte(line(name, c.LocalAddr(), peer)), peer)
	}
}

func serveHTTP(port, name string) error {
	server := &http.Server{Addr: ":" + port, ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.RequestURI())                // what was asked is in the pod's log
		w.Header().Set("Asked", r.Method+" "+r.URL.RequestURI()) // for HEAD, whose answer has no body
		fmt.Fprintln(w, name, r.Method, r.URL.RequestURI())
	})}
	return server.ListenAndServe()
}

func serveHealth(port string) error {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	return s.Serve(l)
}
