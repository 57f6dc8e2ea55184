// Package auth says who a request comes from and what it may do: the flags of authentication and authorization and
// the chains built from them. The parts that no library has are its subpackages.
package auth
