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
	absent                       // it does not exist
	unresolvable                 // its kind is not known now: nothing may be concluded
	misplaced                    // a namespaced owner of an object that is not in its namespace
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
	dropReferences   Action = "drop references to gone owners"
)

// Plan is the action for one object and what it was concluded from.
type Plan struct {
	Action Action
	Drop   []metav1.OwnerReference // with dropReferences: owners that are absent or waiting
	// Misplaced are references that name owners in other namespaces: users are told.
	Misplaced []metav1.OwnerReference
}

// String prints the plan.
func (p Plan) String() string { return fmt.Sprintf("%s (%d references)", p.Action, len(p.Drop)) }

// decide plans for an object by the standing of its owners (documentation of garbage collection): it stays while one
// owner is solid, and goes when all are absent or waiting for it. hasDependents tells whether others name it as owner.
func decide(n *node, owners []owner, hasDependents bool) Plan {
	var plan Plan
	plan.Action = nothing
	if n.Deleting && !n.foreground() {
		return plan
	}
	var solidOwners, waitingOwners, goneOwners []metav1.OwnerReference
	for _, o := range owners {
		switch o.Standing {
		case solid, unresolvable:
			solidOwners = append(solidOwners, o.Reference)
		case waiting:
			waitingOwners = append(waitingOwners, o.Reference)
		case absent:
			goneOwners = append(goneOwners, o.Reference)
		case misplaced:
			plan.Misplaced = append(plan.Misplaced, o.Reference)
			goneOwners = append(goneOwners, o.Reference)
		}
	}
	if len(plan.Misplaced) > 0 {
		return plan // an owner of the wrong scope is a mistake, and no reason to delete
	}
	switch {
	case len(owners) == 0, n.Deleting:
	case len(solidOwners) > 0:
		if drop := append(goneOwners, waitingOwners...); len(drop) > 0 {
			plan.Action, plan.Drop = dropReferences, drop
		}
	case len(waitingOwners) > 0 && hasDependents:
		plan.Action = deleteForeground
	case n.has(metav1.FinalizerOrphanDependents):
		plan.Action = deleteOrphaning
	case n.has(metav1.FinalizerDeleteDependents):
		plan.Action = deleteForeground
	default:
		plan.Action = deleteBackground
	}
	return plan
}
