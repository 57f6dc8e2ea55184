// Package storagemigration declares storageversionmigrations.
package storagemigration
