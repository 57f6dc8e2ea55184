// Package coordination declares leases.
package coordination
