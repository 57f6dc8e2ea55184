// Package expressions compiles the CEL expressions that stand in built-in objects, with the variables and functions
// that a server of v1.37 offers to new expressions. It draws in the CEL library of k8s.io/apiserver; package validation
// itself stays without it.
package expressions

import (
	"strings"
	"sync"

	celgo "github.com/google/cel-go/cel"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"pilotis.dev/api/validation"
)

// Compiler is a validation.Expressions. It may be used by several goroutines.
type Compiler struct {
	envs     *environment.EnvSet
	compiler func() plugincel.Compiler
}

var _ validation.Expressions = (*Compiler)(nil)

// New returns a compiler. The CEL environments, which take a while, are made when the first expression comes.
func New() (*Compiler, error) {
	envs := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	return &Compiler{envs: envs, compiler: sync.OnceValue(func() plugincel.Compiler { return plugincel.NewCompiler(envs) })}, nil
}

// expression is one expression and the types it may have.
type expression struct {
	name, text string
	types      []*celgo.Type
}

func (e expression) GetName() string            { return e.name }
func (e expression) GetExpression() string      { return e.text }
func (e expression) ReturnTypes() []*celgo.Type { return e.types }

func condition(text string) expression {
	return expression{text: text, types: []*celgo.Type{celgo.BoolType}}
}

func fault(r plugincel.CompilationResult, text string, p *field.Path) field.ErrorList {
	if r.Error == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(p, text, r.Error.Detail)}
}

// MatchConditions implements validation.Expressions.
func (c *Compiler) MatchConditions(list []admissionregistrationv1.MatchCondition, p *field.Path) field.ErrorList {
	return c.matchConditions(list, false, p)
}

func (c *Compiler) matchConditions(list []admissionregistrationv1.MatchCondition, params bool, p *field.Path) field.ErrorList {
	var errs field.ErrorList
	options := plugincel.OptionalVariableDeclarations{HasParams: params, HasAuthorizer: true}
	for i, m := range list {
		if strings.TrimSpace(m.Expression) != "" {
			r := c.compiler().CompileCELExpression(condition(m.Expression), options, environment.NewExpressions)
			errs = append(errs, fault(r, m.Expression, p.Index(i).Child("expression"))...)
		}
	}
	return errs
}

// policy compiles the variables of a policy and returns a compiler that knows them.
func (c *Compiler) policy(variables []admissionregistrationv1.Variable, params, patches bool, p *field.Path) (*plugincel.CompositedCompiler, field.ErrorList) {
	composed, err := plugincel.NewCompositedCompiler(c.envs)
	if err != nil {
		return nil, field.ErrorList{field.InternalError(p, err)}
	}
	var errs field.ErrorList
	options := plugincel.OptionalVariableDeclarations{HasParams: params, HasAuthorizer: true, HasPatchTypes: patches}
	for i, v := range variables {
		if v.Name == "" || strings.TrimSpace(v.Expression) == "" {
			continue
		}
		e := expression{name: v.Name, text: v.Expression, types: []*celgo.Type{celgo.AnyType, celgo.DynType}}
		r := composed.CompileAndStoreVariable(e, options, environment.NewExpressions)
		errs = append(errs, fault(r, v.Expression, p.Child("variables").Index(i).Child("expression"))...)
	}
	return composed, errs
}

// ValidatingPolicy implements validation.Expressions.
func (c *Compiler) ValidatingPolicy(s *admissionregistrationv1.ValidatingAdmissionPolicySpec, p *field.Path) field.ErrorList {
	params := s.ParamKind != nil
	errs := c.matchConditions(s.MatchConditions, params, p.Child("matchConditions"))
	composed, more := c.policy(s.Variables, params, false, p)
	errs = append(errs, more...)
	if composed == nil {
		return errs
	}
	check := func(e expression, authorizer bool, at *field.Path) {
		if strings.TrimSpace(e.text) == "" {
			return
		}
		options := plugincel.OptionalVariableDeclarations{HasParams: params, HasAuthorizer: authorizer}
		errs = append(errs, fault(composed.CompileCELExpression(e, options, environment.NewExpressions), e.text, at)...)
	}
	for i, v := range s.Validations {
		at := p.Child("validations").Index(i)
		check(condition(v.Expression), true, at.Child("expression"))
		check(expression{text: v.MessageExpression, types: []*celgo.Type{celgo.StringType}}, false, at.Child("messageExpression"))
	}
	for i, a := range s.AuditAnnotations {
		check(expression{text: a.ValueExpression, types: []*celgo.Type{celgo.StringType, celgo.NullType}}, true, p.Child("auditAnnotations").Index(i).Child("valueExpression"))
	}
	return errs
}

// MutatingPolicy implements validation.Expressions.
func (c *Compiler) MutatingPolicy(s *admissionregistrationv1.MutatingAdmissionPolicySpec, p *field.Path) field.ErrorList {
	params := s.ParamKind != nil
	errs := c.matchConditions(s.MatchConditions, params, p.Child("matchConditions"))
	composed, more := c.policy(s.Variables, params, true, p)
	errs = append(errs, more...)
	if composed == nil {
		return errs
	}
	options := plugincel.OptionalVariableDeclarations{HasParams: params, HasAuthorizer: true, HasPatchTypes: true}
	for i, m := range s.Mutations {
		at := p.Child("mutations").Index(i)
		var e expression
		switch {
		case m.ApplyConfiguration != nil:
			e = expression{text: m.ApplyConfiguration.Expression, types: []*celgo.Type{celgo.ObjectType("Object")}}
			at = at.Child("applyConfiguration", "expression")
		case m.JSONPatch != nil:
			e = expression{text: m.JSONPatch.Expression, types: []*celgo.Type{celgo.ListType(celgo.ObjectType("JSONPatch"))}}
			at = at.Child("jsonPatch", "expression")
		}
		if strings.TrimSpace(e.text) != "" {
			errs = append(errs, fault(composed.CompileCELExpression(e, options, environment.NewExpressions), e.text, at)...)
		}
	}
	return errs
}
