// Package authentication answers who a credential belongs to.
package authentication
