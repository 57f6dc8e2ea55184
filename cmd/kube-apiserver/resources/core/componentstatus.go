package core

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ComponentStatuses asks the other parts of the control plane how they are. It is deprecated since v1.19 and finds
// only what runs on this server's machine.
func ComponentStatuses(env *kind.Env) rest.Storage { return &componentStatuses{env.Components} }

type componentStatuses struct {
	checks map[string]func(ctx context.Context) (string, error)
}

var (
	_ rest.Lister             = (*componentStatuses)(nil)
	_ rest.Getter             = (*componentStatuses)(nil)
	_ rest.ShortNamesProvider = (*componentStatuses)(nil)
)

func (s *componentStatuses) New() runtime.Object     { return &corev1.ComponentStatus{} }
func (s *componentStatuses) NewList() runtime.Object { return &corev1.ComponentStatusList{} }
func (s *componentStatuses) Destroy()                {}
func (s *componentStatuses) NamespaceScoped() bool   { return false }
func (s *componentStatuses) GetSingularName() string { return "componentstatus" }
func (s *componentStatuses) ShortNames() []string    { return []string{"cs"} }

const componentStatusWarning = "v1 ComponentStatus is deprecated in v1.19+"

// List implements rest.Lister.
func (s *componentStatuses) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	warning.AddWarning(ctx, "", componentStatusWarning)
	byLabel, byField := labels.Everything(), fields.Everything()
	if options != nil && options.LabelSelector != nil {
		byLabel = options.LabelSelector
	}
	if options != nil && options.FieldSelector != nil {
		byField = options.FieldSelector
	}
	names := make([]string, 0, len(s.checks))
	for name := range s.checks {
		names = append(names, name)
	}
	slices.Sort(names)
	list := &corev1.ComponentStatusList{Items: []corev1.ComponentStatus{}}
	for _, name := range names {
		if byLabel.Matches(labels.Set{}) && byField.Matches(fields.Set{"metadata.name": name}) {
			list.Items = append(list.Items, *s.ask(ctx, name))
		}
	}
	return list, nil
}

// Get implements rest.Getter.
func (s *componentStatuses) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	warning.AddWarning(ctx, "", componentStatusWarning)
	if _, ok := s.checks[name]; !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("componentstatus"), name)
	}
	return s.ask(ctx, name), nil
}

func (s *componentStatuses) ask(ctx context.Context, name string) *corev1.ComponentStatus {
	message, err := s.checks[name](ctx)
	condition := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: message}
	if err != nil {
		condition.Status, condition.Error = corev1.ConditionFalse, err.Error()
	}
	return &corev1.ComponentStatus{ObjectMeta: metav1.ObjectMeta{Name: name}, Conditions: []corev1.ComponentCondition{condition}}
}

// ConvertToTable implements rest.TableConvertor.
func (s *componentStatuses) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	type T = *corev1.ComponentStatus
	healthy := func(c T) corev1.ComponentCondition {
		for _, condition := range c.Conditions {
			if condition.Type == corev1.ComponentHealthy {
				return condition
			}
		}
		return corev1.ComponentCondition{}
	}
	return kind.Table(ctx, obj, options,
		kind.Name[T](),
		kind.Text("Status", func(c T) string {
			if healthy(c).Status == corev1.ConditionTrue {
				return "Healthy"
			}
			return "Unhealthy"
		}),
		kind.Text("Message", func(c T) string { return healthy(c).Message }),
		kind.Text("Error", func(c T) string { return healthy(c).Error }),
	)
}
