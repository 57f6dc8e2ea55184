// Package certificates declares certificate requests and trust bundles.
package certificates
