// Package faults is what goes wrong between a controller and the API server, decided by a seed.
//
// Between the server and the informers, kind by kind: delays, streams that freeze for minutes (so that kinds are seen in another
// order than they changed), connections that break, versions that have expired, and, after a start, lists and watches of a server
// whose watch cache is behind what the last life of the process has already seen (a rewind). Between the controller and the server:
// latency, refused requests (409, 429, 500, 503), time-outs, writes that are carried out while the answer is lost, and the end of
// the process just before or just after a write.
//
// What befalls a request depends on the seed and on what the request is ("the third patch of pod x by y"), not on the order in which
// goroutines happen to run, and each request takes a time of its own of the virtual clock. A seed therefore shows again what it
// has shown, as far as the controllers themselves decide alike (they iterate over maps, and back off with jitter).
package faults
