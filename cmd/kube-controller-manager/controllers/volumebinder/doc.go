// Package volumebinder marries PersistentVolumes to PersistentVolumeClaims, and decides what becomes of a volume whose claim is
// gone.
//
// A binding is two references: the volume's claimRef with the claim's UID, and the claim's volumeName. The volume's is written
// first, so that two claims which want one volume meet in its resourceVersion; a controller that dies in between finds the first
// reference and writes the second. Volumes are made and removed by external provisioners, which are asked by an annotation of the
// claim and told by the volume's phase.
//
// What is to be done is PlanClaim and PlanVolume, functions of what the caches hold; writer.go does it. Claims and volumes share one
// queue: a key without a namespace is a volume.
//
// Source of the rules: "Persistent Volumes" of the Kubernetes documentation, the API reference of core/v1, KEP-3333 (retroactive
// default class), KEP-3762 (phase transition time), and the annotations of k8s.io/component-helpers/storage/volume.
package volumebinder
