// Package batch declares jobs and cronjobs.
package batch
