// Package discovery declares endpointslices.
package discovery
