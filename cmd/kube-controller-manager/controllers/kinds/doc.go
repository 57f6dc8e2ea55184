// Package kinds follows every kind of object that the API server keeps, custom ones included, as they come and go, for the
// controllers that deal with all of them: the garbage collector and resource quotas.
//
// Of each object only what says who it is, who owns it and whether it is going is kept: annotations, labels and managed fields
// are dropped as objects arrive, so the memory does not grow with what users store in them. A kind that another controller
// reads in full anyway is not watched twice: its informer is used.
package kinds
