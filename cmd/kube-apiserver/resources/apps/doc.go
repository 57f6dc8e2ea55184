// Package apps declares the resources of the apps group: the workload controllers.
package apps
