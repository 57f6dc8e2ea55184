// Package csi mounts volumes through the CSI drivers of this node (https://github.com/container-storage-interface/spec):
// it waits until a volume is attached, stages it once a node and publishes it once a pod. What it did lies beside the
// volume in vol_data.json, from which a later kubelet can undo it.
package csi
