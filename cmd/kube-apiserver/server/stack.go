package server

import (
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// requestStack is what the stack of a request needs to have in bytes, for the handler chain, the registry and a decoder.
const requestStack = 16 << 10

// roomy gives the goroutine of a request the stack that it is going to need when that is still small. A stack that grows by
// itself is copied each time that it doubles, with all frames that it has by then.
func roomy(next authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		growStack(0)
		return next.AuthenticateRequest(r)
	})
}

// growStack has a frame of requestStack bytes.
//
//go:noinline
func growStack(i int) byte {
	var room [requestStack]byte
	room[i] = 1
	return room[len(room)-1-i]
}
