package quantities

import (
	"encoding/json"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
)

// InPatch refuses a strategic merge patch of an object, or an applied one, that holds an excessive quantity: what is merged is
// turned into an object without a serializer.
func InPatch(mediaType string, patch []byte, object runtime.Object) error {
	decode := func(defused []byte) error {
		if strings.HasSuffix(mediaType, "cbor") {
			return direct.Unmarshal(defused, object)
		}
		return json.Unmarshal(defused, object)
	}
	if err := Refuse(mediaType, patch, decode); err != nil {
		return err
	}
	if _, ok := object.(*autoscalingv1.HorizontalPodAutoscaler); !ok || decode(patch) != nil {
		return nil
	}
	return inAnnotations(object)
}

// inAnnotations refuses excessive quantities in the annotations of an autoscaling/v1 HorizontalPodAutoscaler that carry what
// only autoscaling/v2 has a field for.
func inAnnotations(obj runtime.Object) error {
	hpa, ok := obj.(*autoscalingv1.HorizontalPodAutoscaler)
	if !ok {
		return nil
	}
	for name, into := range map[string]any{
		"autoscaling.alpha.kubernetes.io/metrics":         &[]autoscalingv1.MetricSpec{},
		"autoscaling.alpha.kubernetes.io/current-metrics": &[]autoscalingv2.MetricStatus{},
	} {
		err := Refuse(runtime.ContentTypeJSON, []byte(hpa.Annotations[name]), func(defused []byte) error { return json.Unmarshal(defused, into) })
		if err != nil {
			return err
		}
	}
	return nil
}
