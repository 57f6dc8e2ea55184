package expressions_test

import (
	"strings"
	"sync"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"pilotis.dev/api/validation/expressions"
)

// TestConcurrentUse shows that one compiler serves many requests at once.
func TestConcurrentUse(t *testing.T) {
	c, err := expressions.New()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			errs := c.MatchConditions([]admissionregistrationv1.MatchCondition{{Name: "a", Expression: "object.metadata.name == 'x'"}, {Name: "b", Expression: "object +"}}, field.NewPath("matchConditions"))
			if len(errs) != 1 || errs[0].Field != "matchConditions[1].expression" || !strings.HasPrefix(errs[0].Detail, "compilation failed: ") {
				t.Errorf("got %v", errs)
			}
			if errs := c.DeviceSelector("device.driver == 'a'", field.NewPath("expression")); len(errs) > 0 {
				t.Errorf("got %v", errs)
			}
		})
	}
	wg.Wait()
}

// TestVariablesOfPolicies shows that later variables see earlier ones, and that params need a kind.
func TestVariablesOfPolicies(t *testing.T) {
	c, err := expressions.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &admissionregistrationv1.ValidatingAdmissionPolicySpec{
		Variables:   []admissionregistrationv1.Variable{{Name: "a", Expression: "1"}, {Name: "b", Expression: "variables.a + 1"}},
		Validations: []admissionregistrationv1.Validation{{Expression: "variables.b == 2 && authorizer.path('/x').check('get').allowed()"}},
	}
	if errs := c.ValidatingPolicy(s, field.NewPath("spec")); len(errs) > 0 {
		t.Errorf("got %v", errs)
	}
	s.Validations[0].Expression = "params.x == 1"
	if errs := c.ValidatingPolicy(s, field.NewPath("spec")); len(errs) != 1 {
		t.Errorf("params without a kind: got %v", errs)
	}
	s.ParamKind = &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
	if errs := c.ValidatingPolicy(s, field.NewPath("spec")); len(errs) > 0 {
		t.Errorf("params of a kind: got %v", errs)
	}
}
