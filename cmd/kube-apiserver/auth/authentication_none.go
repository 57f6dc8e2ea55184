package auth

import (
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// noAuthenticator knows nobody: the chain of a server that was given no way to authenticate.
func noAuthenticator(*http.Request) (*authenticator.Response, bool, error) { return nil, false, nil }
