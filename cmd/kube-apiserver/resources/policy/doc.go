// Package policy declares poddisruptionbudgets.
package policy
