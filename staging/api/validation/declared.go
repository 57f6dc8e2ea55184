package validation

import (
	"context"

	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// gates are the names by which rules that types declare ask for a feature. All are on: what a server does not have, it
// drops before it validates.
func gates() map[string]bool {
	return map[string]bool{
		"CompositePodGroup": true, "DRAPartitionableDevicesType": true, "PodGroupPreemptionPolicy": true, "TopologyAwareWorkloadScheduling": true,
	}
}

func creating() operation.Operation {
	return operation.Operation{Type: operation.Create, Options: gates()}
}

func updating() operation.Operation {
	return operation.Operation{Type: operation.Update, Options: gates()}
}

// declares adds the faults that a generated rule finds in the part of an object at a path. old is nil for a new object.
func declares[P any](f *faults, path string, rule func(context.Context, operation.Operation, *field.Path, *P, *P) field.ErrorList, obj, old *P) *faults {
	op := updating()
	if old == nil {
		op = creating()
	}
	f.add(rule(context.Background(), op, field.NewPath(path), obj, old)...)
	return f
}
