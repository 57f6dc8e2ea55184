package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// FlowSchemas declares flowschemas.
func FlowSchemas() *kind.Kind[*flowcontrolv1.FlowSchema] {
	type T = *flowcontrolv1.FlowSchema
	return &kind.Kind[T]{
		Group: "flowcontrol.apiserver.k8s.io", Resource: "flowschemas", Singular: "flowschema", ClusterScoped: true,
		New:             func() T { return &flowcontrolv1.FlowSchema{} },
		NewList:         func() runtime.Object { return &flowcontrolv1.FlowSchemaList{} },
		Spec:            kind.Field(func(f T) *flowcontrolv1.FlowSchemaSpec { return &f.Spec }),
		Status:          kind.Field(func(f T) *flowcontrolv1.FlowSchemaStatus { return &f.Status }),
		Generation:      true,
		StatusKeepsMeta: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Text("PriorityLevel", func(f T) string { return f.Spec.PriorityLevelConfiguration.Name }),
			kind.Number("MatchingPrecedence", func(f T) int32 { return f.Spec.MatchingPrecedence }),
			kind.Text("DistinguisherMethod", func(f T) string {
				if f.Spec.DistinguisherMethod == nil {
					return "<none>"
				}
				return string(f.Spec.DistinguisherMethod.Type)
			}),
			kind.Age[T](),
			kind.Text("MissingPL", func(f T) string {
				for _, c := range f.Status.Conditions {
					if c.Type == flowcontrolv1.FlowSchemaConditionDangling {
						return string(c.Status)
					}
				}
				return "?"
			}),
		},
	}
}
