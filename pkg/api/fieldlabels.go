package api

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// selectable lists the field selectors of a kind besides metadata.name and metadata.namespace. A kind that is not
// listed has just those two.
type selectable struct {
	kind   schema.GroupVersionKind
	labels []string
	// rename maps an old name of a selector to the one that is matched.
	rename map[string]string
}

func selectables() []selectable {
	core, apps := corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion
	involved := []string{"kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"}
	event := []string{"reason", "reportingComponent", "source", "type"}
	regarding := map[string]string{"reportingController": "reportingComponent"}
	for _, f := range involved {
		event = append(event, "involvedObject."+f)
		regarding["regarding."+f] = "involvedObject." + f
	}
	return []selectable{
		{kind: core.WithKind("Pod"), labels: []string{
			"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
			"status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
		}, rename: map[string]string{"spec.host": "spec.nodeName"}},
		{kind: core.WithKind("Node"), labels: []string{"spec.unschedulable"}},
		{kind: core.WithKind("ReplicationController"), labels: []string{"status.replicas"}},
		{kind: core.WithKind("Event"), labels: event, rename: map[string]string{"source.component": "source"}},
		{kind: eventsv1.SchemeGroupVersion.WithKind("Event"), labels: []string{"reason", "type"}, rename: regarding},
		{kind: core.WithKind("Namespace"), labels: []string{"status.phase"}},
		{kind: core.WithKind("Secret"), labels: []string{"type"}},
		{kind: core.WithKind("Service"), labels: []string{"spec.clusterIP", "spec.type"}},
		{kind: core.WithKind("PersistentVolume"), labels: []string{"name"}},
		{kind: core.WithKind("PersistentVolumeClaim"), labels: []string{"name"}},
		{kind: apps.WithKind("ReplicaSet"), labels: []string{"status.replicas"}},
		{kind: batchv1.SchemeGroupVersion.WithKind("Job"), labels: []string{"status.successful"}},
		{kind: certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"), labels: []string{"spec.signerName"}},
		{kind: certificatesv1.SchemeGroupVersion.WithKind("ClusterTrustBundle"), labels: []string{"spec.signerName"}},
		{kind: certificatesv1.SchemeGroupVersion.WithKind("PodCertificateRequest"), labels: []string{"spec.signerName", "spec.podName", "spec.nodeName"}},
		{kind: networkingv1.SchemeGroupVersion.WithKind("IPAddress"), labels: []string{"spec.parentRef.resource", "spec.parentRef.namespace", "spec.parentRef.name"}},
		{kind: resourcev1.SchemeGroupVersion.WithKind("ResourceSlice"), labels: []string{"spec.nodeName", "spec.driver"}},
	}
}

// addFieldLabels teaches the scheme which field selectors each kind takes, in all its versions. An unknown one is refused.
func addFieldLabels(s *runtime.Scheme) error {
	for _, f := range selectables() {
		for _, v := range s.VersionsForGroupKind(f.kind.GroupKind()) {
			if err := s.AddFieldLabelConversionFunc(v.WithKind(f.kind.Kind), f.convert); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f selectable) convert(label, value string) (string, string, error) {
	if to, ok := f.rename[label]; ok {
		return to, value, nil
	}
	if label == "metadata.name" || label == "metadata.namespace" || slices.Contains(f.labels, label) {
		return label, value, nil
	}
	return "", "", fmt.Errorf("field label not supported for %s: %s", f.kind.Kind, label)
}
