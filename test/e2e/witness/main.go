// Command witness shows where packets go: in a pod it answers with the pod's name, elsewhere it asks.
//
//	witness serve --tcp=8080,9090 --udp=8080 --sctp=8080 --http=8000 --grpc=9000
//	witness ask --count=10 tcp://10.96.0.7:80 udp://web:53
//	witness token --audience=https://kubernetes.default.svc
//	witness lookup srv _http._tcp.web.default.svc.cluster.local
//	witness registry --listen=127.0.0.1:5055 --text=hello
//	witness get https://kubernetes.default/readyz
//	witness guestbook --leader=http://leader:6379 --followers=http://followers:6379
package main

import (
	"fmt"
	"os"
)

func main() { os.Exit(run()) }

func run() int {
	verbs := map[string]func([]string) error{"serve": serve, "ask": ask, "lookup": lookup, "get": get, "token": token, "registry": registry, "guestbook": guestbook}
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: witness serve|ask|lookup|get|token|registry|guestbook …")
		return 2
	}
	if err := verbs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "witness:", err)
		return 1
	}
	return 0
}
