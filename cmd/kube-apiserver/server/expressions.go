package server

import (
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"pilotis.dev/api/validation/expressions"
)

// lazyExpressions makes the CEL compiler with the first object that holds an expression; most clusters start without.
type lazyExpressions struct {
	once     sync.Once
	compiler *expressions.Compiler
	err      error
}

func (l *lazyExpressions) with(p *field.Path, check func(*expressions.Compiler) field.ErrorList) field.ErrorList {
	l.once.Do(func() { l.compiler, l.err = expressions.New() })
	if l.err != nil {
		return field.ErrorList{field.InternalError(p, l.err)}
	}
	return check(l.compiler)
}

// MatchConditions implements validation.Expressions.
func (l *lazyExpressions) MatchConditions(list []admissionregistrationv1.MatchCondition, p *field.Path) field.ErrorList {
	if len(list) == 0 {
		return nil
	}
	return l.with(p, func(c *expressions.Compiler) field.ErrorList { return c.MatchConditions(list, p) })
}

// ValidatingPolicy implements validation.Expressions.
func (l *lazyExpressions) ValidatingPolicy(s *admissionregistrationv1.ValidatingAdmissionPolicySpec, p *field.Path) field.ErrorList {
	return l.with(p, func(c *expressions.Compiler) field.ErrorList { return c.ValidatingPolicy(s, p) })
}

// MutatingPolicy implements validation.Expressions.
func (l *lazyExpressions) MutatingPolicy(s *admissionregistrationv1.MutatingAdmissionPolicySpec, p *field.Path) field.ErrorList {
	return l.with(p, func(c *expressions.Compiler) field.ErrorList { return c.MutatingPolicy(s, p) })
}

// DeviceSelector implements validation.Expressions.
func (l *lazyExpressions) DeviceSelector(expression string, p *field.Path) field.ErrorList {
	return l.with(p, func(c *expressions.Compiler) field.ErrorList { return c.DeviceSelector(expression, p) })
}
