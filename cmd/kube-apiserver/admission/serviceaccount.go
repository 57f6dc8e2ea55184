package admission

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"

	"pilotis.dev/cmd/kube-apiserver/auth/serviceaccount"
)

const (
	defaultServiceAccount = "default"
	// tokenMountPath is where programs look for their token.
	tokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenVolumePrefix begins the name of the volume that holds it.
	tokenVolumePrefix = "kube-api-access-"
	// rootCAConfigMap is published into each namespace by kube-controller-manager.
	rootCAConfigMap = "kube-root-ca.crt"
	// enforceMountableAnnotation limits pods to the Secrets that their service account lists.
	enforceMountableAnnotation = "kubernetes.io/enforce-mountable-secrets"
)

// serviceAccounts gives each pod a service account, its token and its image pull secrets.
type serviceAccounts struct {
	*admission.Handler
	client   kubernetes.Interface
	accounts corelisters.ServiceAccountLister
	suffix   func(base string) string
}

func newServiceAccounts(io.Reader) (admission.Interface, error) {
	return &serviceAccounts{
		Handler: admission.NewHandler(admission.Create, admission.Update),
		suffix:  names.SimpleNameGenerator.GenerateName,
	}, nil
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *serviceAccounts) SetExternalKubeClientSet(c kubernetes.Interface) { p.client = c }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *serviceAccounts) SetExternalKubeInformerFactory(f informers.SharedInformerFactory) {
	in := f.Core().V1().ServiceAccounts()
	p.accounts = in.Lister()
	p.SetReadyFunc(in.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *serviceAccounts) ValidateInitialization() error {
	if err := needs(p.client, "a client"); err != nil {
		return err
	}
	return needs(p.accounts, "service accounts")
}

func isMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// Admit implements admission.MutationInterface.
func (p *serviceAccounts) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	if !is(a, "", "pods") || a.GetOperation() != admission.Create {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	if isMirror(pod) {
		return p.Validate(ctx, a, o) // the pod runs already as its file says
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultServiceAccount
	}
	account, err := p.account(ctx, a, pod.Spec.ServiceAccountName)
	if err != nil {
		return err
	}
	if automounts(account, pod) {
		p.mountToken(pod)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 && len(account.ImagePullSecrets) > 0 {
		pod.Spec.ImagePullSecrets = append([]corev1.LocalObjectReference(nil), account.ImagePullSecrets...)
	}
	return p.Validate(ctx, a, o)
}

// Validate implements admission.ValidationInterface.
func (p *serviceAccounts) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	create := is(a, "", "pods") && a.GetOperation() == admission.Create
	if !create && !(isSub(a, "", "pods", "ephemeralcontainers") && a.GetOperation() == admission.Update) {
		return nil
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	if isMirror(pod) {
		return mirrorFault(a, pod)
	}
	account, err := p.account(ctx, a, pod.Spec.ServiceAccountName)
	if err != nil {
		return err
	}
	if on, _ := strconv.ParseBool(account.Annotations[enforceMountableAnnotation]); !on {
		return nil
	}
	if fault := mountFault(account, pod, create); fault != nil {
		return admission.NewForbidden(a, fault)
	}
	return nil
}

// mirrorFault: a pod that a kubelet made from a file must not be a way to identities and secrets.
func mirrorFault(a admission.Attributes, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return admission.NewForbidden(a, fmt.Errorf("a mirror pod may not reference service accounts"))
	}
	if len(secretsOf(pod)) > 0 {
		return admission.NewForbidden(a, fmt.Errorf("a mirror pod may not reference secrets"))
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil {
				return admission.NewForbidden(a, fmt.Errorf("a mirror pod may not use ServiceAccountToken volume projections"))
			}
		}
	}
	return nil
}

// account finds the service account. In a new namespace the account "default" is made at about the same time as the
// first pod, so that one is waited for.
func (p *serviceAccounts) account(ctx context.Context, a admission.Attributes, name string) (*corev1.ServiceAccount, error) {
	if !p.WaitForReady() {
		return nil, admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request"))
	}
	account, err := p.accounts.ServiceAccounts(a.GetNamespace()).Get(name)
	if err == nil {
		return account, nil
	}
	if apierrors.IsNotFound(err) {
		tries := wait.Backoff{Steps: 1}
		if name == defaultServiceAccount {
			tries = wait.Backoff{Steps: 10, Duration: 100 * time.Millisecond, Jitter: 1}
		}
		last := err
		_ = wait.ExponentialBackoffWithContext(ctx, tries, func(ctx context.Context) (bool, error) {
			account, last = p.client.CoreV1().ServiceAccounts(a.GetNamespace()).Get(ctx, name, metav1.GetOptions{})
			return !apierrors.IsNotFound(last), nil
		})
		if err = last; apierrors.IsNotFound(err) {
			err = apierrors.NewNotFound(corev1.Resource("serviceaccount"), name)
		}
	}
	if err != nil {
		return nil, admission.NewForbidden(a, fmt.Errorf("error looking up service account %s/%s: %w", a.GetNamespace(), name, err))
	}
	return account, nil
}

// automounts: the pod decides, else its account, else yes.
func automounts(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	if pod.Spec.AutomountServiceAccountToken != nil {
		return *pod.Spec.AutomountServiceAccountToken
	}
	return account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken
}

// mountToken mounts the token into each container that mounts nothing of its own there.
func (p *serviceAccounts) mountToken(pod *corev1.Pod) {
	name, exists := "", false
	for _, v := range pod.Spec.Volumes {
		if strings.HasPrefix(v.Name, tokenVolumePrefix) {
			name, exists = v.Name, true
			break
		}
	}
	if !exists {
		name = p.suffix(tokenVolumePrefix)
	}
	used := false
	mount := func(c *corev1.Container) {
		for _, m := range c.VolumeMounts {
			if m.MountPath == tokenMountPath {
				return
			}
		}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenMountPath})
		used = true
	}
	for i := range pod.Spec.InitContainers {
		mount(&pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		mount(&pod.Spec.Containers[i])
	}
	if used && !exists {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenVolume()}})
	}
}

// tokenVolume holds the three files that in-cluster clients read: token, ca.crt and namespace.
func tokenVolume() *corev1.ProjectedVolumeSource {
	mode, seconds := int32(0o644), int64(serviceaccount.ProjectedSeconds)
	return &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: rootCAConfigMap},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
			}}}},
		},
	}
}
