// Package gated knows the feature gates of the API: which fields and kinds are there only when a gate is on. A field whose
// gate is off is dropped from what clients write, unless the object has it already (Kubernetes API conventions, "alpha
// fields").
package gated
