// Package scheduling declares priorityclasses.
package scheduling
