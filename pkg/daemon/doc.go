// Package daemon is what every Pilotis daemon does around its core loop: parse flags, log, serve its
// health and metrics, reach the apiserver, hold a leader lease and stop on a signal.
package daemon
