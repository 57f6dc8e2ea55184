// Package leadership runs two controller managers beside an etcd and an API server on loopback, takes the lead away from
// one in every way, and reads in the API server's audit log who wrote when. The acceptance
// of 50 cycles is go test . -args -cycles=50; each lasts 5 s. With -unguarded, a controller manager whose writes nothing guards is
// built and caught.
package leadership
