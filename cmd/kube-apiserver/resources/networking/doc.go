// Package networking declares ingresses, network policies and the objects that track Service addresses.
package networking
