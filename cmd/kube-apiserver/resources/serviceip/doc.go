// Package serviceip gives Services their cluster IPs and node ports.
//
// An address is taken by creating the IPAddress object of its name (KEP-1880): etcd decides between two servers that
// want the same. Node ports are bits of one object under /registry/ranges/servicenodeports.
package serviceip
