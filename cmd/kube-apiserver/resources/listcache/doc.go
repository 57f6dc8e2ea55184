// Package listcache keeps the encodings of list items.
//
// When many clients list the same objects, as all agents of a cluster do after a restart, the server encodes the same
// objects again for each of them; that was half of the CPU time of a list. The watch cache hands out one and the same
// immutable object until it changes, so its encoding can be kept: in JSON and in protobuf, beside a shallow copy of
// the object by which a later list proves that it shows the same. An item is kept from the second list on that shows
// it, so that a single large list neither fills the cache nor pays for it. What is kept is bounded, and let go of when
// nobody asked for it in a while.
package listcache
