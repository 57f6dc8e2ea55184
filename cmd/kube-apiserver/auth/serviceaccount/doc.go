// Package serviceaccount issues and checks the tokens by which programs in pods and scripts identify themselves.
//
// A token is a JWT signed by the server. It names its service account and, when it is bound, the pod, node or Secret
// whose end is also the token's end (KEP-1205, KEP-2799, KEP-4193). Tokens in Secrets of type
// kubernetes.io/service-account-token are older: they have no expiry and live as long as their Secret.
package serviceaccount
