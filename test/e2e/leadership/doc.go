// Package leadership runs two controller managers beside an etcd and an API server on loopback, takes the lead away from
// one in every way, and reads in the API server's audit log who wrote when.
package leadership
