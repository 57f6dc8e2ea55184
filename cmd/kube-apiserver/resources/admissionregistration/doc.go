// Package admissionregistration declares admission webhooks and policies.
package admissionregistration
