package expressions

import (
	"fmt"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/environment"
	dracel "k8s.io/dynamic-resource-allocation/cel"
)

// DeviceSelector implements validation.Expressions: the expression must compile and be cheap (KEP-4381).
func (c *Compiler) DeviceSelector(text string, p *field.Path) field.ErrorList {
	mode := environment.NewExpressions
	r := dracel.GetCompiler(dracel.Features{EnableConsumableCapacity: true}).CompileCELExpression(text, dracel.Options{EnvType: &mode})
	if r.Error != nil {
		return field.ErrorList{field.Invalid(p, text, r.Error.Detail)}
	}
	if r.MaxCost > resourcev1.CELSelectorExpressionMaxCost {
		return field.ErrorList{field.Forbidden(p, fmt.Sprintf("too complex, exceeds cost limit of %d with %d", resourcev1.CELSelectorExpressionMaxCost, r.MaxCost))}
	}
	return nil
}
