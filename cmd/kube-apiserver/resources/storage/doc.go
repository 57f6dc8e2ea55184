// Package storage declares storage classes, attachments and CSI objects.
package storage
