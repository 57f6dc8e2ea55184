// Package volumes makes pods' volumes ready on the host and takes them away again.
//
// A volume lies at <root>/pods/<UID>/volumes/<plugin>/<name>, as on every Kubernetes node, so that tools find it and a
// kubelet that starts anew knows from the folders alone what an earlier one left. Setup can be repeated at any time;
// Teardown needs no memory of Setup. Volumes made of API objects are written anew when an object changes, in one step
// (see Atomic).
package volumes
