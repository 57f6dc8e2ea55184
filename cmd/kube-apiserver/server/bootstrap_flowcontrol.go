package server

import (
	"context"
	"errors"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	genericapiserver "k8s.io/apiserver/pkg/server"
	flowcontrolinformers "k8s.io/client-go/informers/flowcontrol/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// keepFlowControl keeps the objects of API priority and fairness: the mandatory ones always, the suggested ones unless
// their annotation apf.kubernetes.io/autoupdate-spec says that an operator has taken them over.
func keepFlowControl(client kubernetes.Interface, informers flowcontrolinformers.Interface) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		changed := make(chan struct{}, 1)
		touch := func(any) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
		handler := cache.ResourceEventHandlerFuncs{UpdateFunc: func(old, now any) {
			if specChanged(old, now) {
				touch(now)
			}
		}, DeleteFunc: touch}
		if _, err := informers.FlowSchemas().Informer().AddEventHandler(handler); err != nil {
			return err
		}
		if _, err := informers.PriorityLevelConfigurations().Informer().AddEventHandler(handler); err != nil {
			return err
		}
		ensure := func(ctx context.Context) error { return ensureFlowControl(ctx, client) }
		if err := untilDone(hook, "flow control objects", ensure); err != nil {
			return err
		}
		go func() {
			for {
				select {
				case <-changed:
					if err := untilDone(hook, "flow control objects", ensure); err != nil {
						return
					}
				case <-hook.Done():
					return
				}
			}
		}()
		return nil
	}
}

func specChanged(old, now any) bool {
	a, ok1 := old.(metav1.Object)
	b, ok2 := now.(metav1.Object)
	return ok1 && ok2 && a.GetGeneration() != b.GetGeneration()
}

// ensureFlowControl creates and corrects what is not as it should be; levels come before the schemas that name them.
func ensureFlowControl(ctx context.Context, client kubernetes.Interface) error {
	levels, err := client.FlowcontrolV1().PriorityLevelConfigurations().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	schemas, err := client.FlowcontrolV1().FlowSchemas().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	haveLevel := map[string]*flowcontrolv1.PriorityLevelConfiguration{}
	for i := range levels.Items {
		haveLevel[levels.Items[i].Name] = &levels.Items[i]
	}
	haveSchema := map[string]*flowcontrolv1.FlowSchema{}
	for i := range schemas.Items {
		haveSchema[schemas.Items[i].Name] = &schemas.Items[i]
	}
	var faults []error
	for i, list := range [][]*flowcontrolv1.PriorityLevelConfiguration{bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations} {
		for _, want := range list {
			faults = append(faults, ensureLevel(ctx, client, want, haveLevel[want.Name], i == 0))
		}
	}
	for i, list := range [][]*flowcontrolv1.FlowSchema{bootstrap.MandatoryFlowSchemas, bootstrap.SuggestedFlowSchemas} {
		for _, want := range list {
			faults = append(faults, ensureSchema(ctx, client, want, haveSchema[want.Name], i == 0))
		}
	}
	return errors.Join(faults...)
}

// ours says whether the spec of an object is still the server's to decide.
func ours(m metav1.Object, mandatory bool) bool {
	if mandatory {
		return true
	}
	switch m.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey] {
	case "true":
		return true
	case "false":
		return false
	}
	return m.GetGeneration() <= 1 // nobody has changed it
}

func marked(m metav1.ObjectMeta, mandatory bool) metav1.ObjectMeta {
	m = *m.DeepCopy()
	if m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	if _, set := m.Annotations[flowcontrolv1.AutoUpdateAnnotationKey]; !set || mandatory {
		m.Annotations[flowcontrolv1.AutoUpdateAnnotationKey] = "true"
	}
	return m
}

func ensureLevel(ctx context.Context, client kubernetes.Interface, want, have *flowcontrolv1.PriorityLevelConfiguration, mandatory bool) error {
	api := client.FlowcontrolV1().PriorityLevelConfigurations()
	if have == nil {
		_, err := api.Create(ctx, &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: marked(metav1.ObjectMeta{Name: want.Name}, mandatory), Spec: want.Spec}, metav1.CreateOptions{})
		return ignore(err, apierrors.IsAlreadyExists)
	}
	if !ours(have, mandatory) || equality.Semantic.DeepEqual(have.Spec, want.Spec) {
		return nil
	}
	// The share that exempt requests lend and hold is the operator's to set.
	if want.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt && have.Spec.Type == want.Spec.Type && have.Spec.Exempt != nil {
		return nil
	}
	update := have.DeepCopy()
	update.ObjectMeta, update.Spec = marked(have.ObjectMeta, mandatory), want.Spec
	_, err := api.Update(ctx, update, metav1.UpdateOptions{})
	return err
}

func ensureSchema(ctx context.Context, client kubernetes.Interface, want, have *flowcontrolv1.FlowSchema, mandatory bool) error {
	api := client.FlowcontrolV1().FlowSchemas()
	if have == nil {
		_, err := api.Create(ctx, &flowcontrolv1.FlowSchema{ObjectMeta: marked(metav1.ObjectMeta{Name: want.Name}, mandatory), Spec: want.Spec}, metav1.CreateOptions{})
		return ignore(err, apierrors.IsAlreadyExists)
	}
	if !ours(have, mandatory) || equality.Semantic.DeepEqual(have.Spec, want.Spec) {
		return nil
	}
	update := have.DeepCopy()
	update.ObjectMeta, update.Spec = marked(have.ObjectMeta, mandatory), want.Spec
	_, err := api.Update(ctx, update, metav1.UpdateOptions{})
	return err
}

func ignore(err error, known func(error) bool) error {
	if err != nil && known(err) {
		return nil
	}
	return err
}
