// Package authorization answers who may do what.
package authorization
