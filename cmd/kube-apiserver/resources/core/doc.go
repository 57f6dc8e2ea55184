// Package core declares the resources of the core group: pods, services, nodes and what they use.
package core
