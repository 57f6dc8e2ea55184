// Package attachdetach attaches the volumes of CSI drivers to the nodes whose pods need them, and detaches them after.
//
// An attachment is a VolumeAttachment object: created here, carried out by the driver's attacher, awaited by the kubelet. Its name is
// a hash of volume, driver and node, which the kubelet computes too. A volume is detached when no pod of the node needs it and the
// node does not report it in status.volumesInUse any more. A node that cannot report is waited for six minutes, unless it has the
// taint node.kubernetes.io/out-of-service (KEP-2268), by which an administrator vouches that it is off.
//
// Nodes are the keys: PlanNode decides for one of them, from its pods and its attachments.
package attachdetach
