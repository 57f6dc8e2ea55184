package garbagecollector

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// standing is what is known of one owner that an object names.
type standing int

const (
	solid        standing = iota // it exists and stays
	waiting                      // it waits, in foreground deletion, for its dependents to go
	absent                       // it does not exist; a reference into another namespace is to something that does not exist
	unresolvable                 // its kind is not known, or its scope makes it no owner: nothing may be concluded
)

// owner is an owner reference with its standing.
type owner struct {
	Reference metav1.OwnerReference
	Standing  standing
}

// Action is what to do with an object.
type Action string

const (
	nothing          Action = "nothing"
	deleteBackground Action = "delete"
	deleteForeground Action = "delete in the foreground"
	deleteOrphaning  Action = "delete, orphaning dependents"
	dropReferences   Action = "drop references"
)

// Plan is the action for one object.
type Plan struct {
	Action Action
	// Drop, with dropReferences, are the owners that are absent or waiting while another one is solid.
	Drop []metav1.OwnerReference
	// Unblock: before it is deleted the object stops to block its owners, because it waits for one of them itself: a circle.
	Unblock bool
}

// String prints the plan.
func (p Plan) String() string {
	text := string(p.Action)
	for _, r := range p.Drop {
		text += fmt.Sprintf(" %s/%s", r.Kind, r.Name)
	}
	if p.Unblock {
		text = "unblock owners, " + text
	}
	return text
}

// decide plans for an object by the standing of its owners: it stays while one owner is solid or may be, and goes when all
// are absent or wait for it (https://kubernetes.io/docs/concepts/architecture/garbage-collection/). dependents are the objects
// that name it as owner.
func decide(n *node, owners []owner, dependents []*node) Plan {
	if n.Deleting || len(owners) == 0 {
		return Plan{Action: nothing}
	}
	var keep, wait int
	var drop []metav1.OwnerReference
	for _, o := range owners {
		switch o.Standing {
		case solid, unresolvable:
			keep++
			continue
		case waiting:
			wait++
		}
		drop = append(drop, o.Reference)
	}
	switch {
	case keep > 0 && len(drop) > 0:
		return Plan{Action: dropReferences, Drop: drop}
	case keep > 0:
		return Plan{Action: nothing}
	case wait > 0 && len(dependents) > 0:
		plan := Plan{Action: deleteForeground}
		for _, d := range dependents {
			plan.Unblock = plan.Unblock || d.foreground()
		}
		return plan
	// A finalizer that is there before the deletion says how the object's own deletion is wanted.
	case n.has(metav1.FinalizerOrphanDependents):
		return Plan{Action: deleteOrphaning}
	case n.has(metav1.FinalizerDeleteDependents):
		return Plan{Action: deleteForeground}
	}
	return Plan{Action: deleteBackground}
}

// blockers are the dependents that hold up the foreground deletion of n.
func blockers(n *node, dependents []*node) []*node {
	var out []*node
	for _, d := range dependents {
		if d.blocks(n) {
			out = append(out, d)
		}
	}
	return out
}
