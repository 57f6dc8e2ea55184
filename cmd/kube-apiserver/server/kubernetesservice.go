package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	netutils "k8s.io/utils/net"
)

const (
	kubernetesName = "kubernetes"
	// endpointLife is how long a silent server stays among the endpoints, endpointRenewal how often a live one says so.
	endpointLife    = 15 * time.Second
	endpointRenewal = 10 * time.Second
)

// masters knows the addresses of the API servers that live.
type masters interface {
	// Join says that address lives.
	Join(ctx context.Context, address string) error
	// Leave says that it stops.
	Leave(ctx context.Context, address string) error
	// Live lists all.
	Live(ctx context.Context) ([]string, error)
}

// kubernetesService keeps the Service default/kubernetes and its endpoints: how pods find the API.
type kubernetesService struct {
	client     kubernetes.Interface
	serviceIPs []net.IP // first addresses of the service ranges
	address    net.IP   // --advertise-address
	port       int      // where this server listens
	nodePort   int      // 0 for a ClusterIP service
	masters    masters  // nil: the endpoints are somebody else's
	done       chan struct{}
}

// run creates the service and follows who lives until ctx ends.
func (k *kubernetesService) run(hook genericapiserver.PostStartHookContext) error {
	logger := klog.FromContext(hook)
	if err := untilDone(hook, "service default/kubernetes", k.ensureService); err != nil {
		return err
	}
	if !k.keepsEndpoints() {
		logger.Info("The endpoints of default/kubernetes are not kept by this server", "address", k.address)
	}
	go func() {
		if untilDone(hook, "service default/kubernetes and its endpoints", k.keep) != nil {
			return
		}
		ticker := time.NewTicker(endpointRenewal)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if err := k.keep(hook); err != nil && hook.Err() == nil {
					logger.Error(err, "Service default/kubernetes and its endpoints not brought up to date")
				}
			case <-k.done:
				return
			case <-hook.Done():
				return
			}
		}
	}()
	return nil
}

// keep makes the service anew when somebody deleted it, and brings the endpoints up to date.
func (k *kubernetesService) keep(ctx context.Context) error {
	_, err := k.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, kubernetesName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		err = k.ensureService(ctx)
	}
	if err != nil || !k.keepsEndpoints() {
		return err
	}
	return k.reconcile(ctx)
}

// keepsEndpoints: a loopback address is no endpoint, it would mean the pod itself to each pod.
func (k *kubernetesService) keepsEndpoints() bool {
	return k.masters != nil && !k.address.IsLoopback()
}

// stop takes this server out of the endpoints before it stops serving.
func (k *kubernetesService) stop() error {
	close(k.done)
	if !k.keepsEndpoints() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := k.masters.Leave(ctx, k.address.String()); err != nil {
		return fmt.Errorf("leaving the endpoints of default/kubernetes: %w", err)
	}
	return k.publish(ctx)
}

func (k *kubernetesService) ensureService(ctx context.Context) error {
	if err := createNamespace(ctx, k.client, metav1.NamespaceDefault); err != nil {
		return err
	}
	api := k.client.CoreV1().Services(metav1.NamespaceDefault)
	want := k.service()
	have, err := api.Get(ctx, kubernetesName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = api.Create(ctx, want, metav1.CreateOptions{})
		return ignore(err, apierrors.IsAlreadyExists)
	}
	if err != nil {
		return err
	}
	update := have.DeepCopy()
	update.Spec.Ports, update.Spec.Type, update.Spec.SessionAffinity = want.Spec.Ports, want.Spec.Type, want.Spec.SessionAffinity
	if equality.Semantic.DeepEqual(update.Spec, have.Spec) {
		return nil
	}
	_, err = api.Update(ctx, update, metav1.UpdateOptions{})
	return err
}

func (k *kubernetesService) service() *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: kubernetesName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{"provider": "kubernetes", "component": "apiserver"},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP,
			Ports: []corev1.ServicePort{{
				Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt32(int32(k.port)),
			}},
			SessionAffinity: corev1.ServiceAffinityNone,
			ClusterIP:       k.serviceIPs[0].String(),
			ClusterIPs:      []string{k.serviceIPs[0].String()},
			IPFamilyPolicy:  new(corev1.IPFamilyPolicySingleStack),
		},
	}
	if k.nodePort != 0 {
		s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, int32(k.nodePort)
	}
	return s
}

func (k *kubernetesService) reconcile(ctx context.Context) error {
	if err := k.masters.Join(ctx, k.address.String()); err != nil {
		return fmt.Errorf("announcing %s: %w", k.address, err)
	}
	return k.publish(ctx)
}

// publish writes the addresses of all live servers into Endpoints and EndpointSlice.
func (k *kubernetesService) publish(ctx context.Context) error {
	live, err := k.masters.Live(ctx)
	if err != nil {
		return fmt.Errorf("listing live API servers: %w", err)
	}
	slices.Sort(live)
	return errors.Join(k.publishEndpoints(ctx, live), k.publishSlice(ctx, live))
}

func (k *kubernetesService) publishEndpoints(ctx context.Context, live []string) error {
	var subsets []corev1.EndpointSubset
	if len(live) > 0 {
		subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: "https", Port: int32(k.port), Protocol: corev1.ProtocolTCP}}}
		for _, ip := range live {
			subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: ip})
		}
		subsets = []corev1.EndpointSubset{subset}
	}
	api := k.client.CoreV1().Endpoints(metav1.NamespaceDefault)
	have, err := api.Get(ctx, kubernetesName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = api.Create(ctx, &corev1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{
				Name: kubernetesName, Namespace: metav1.NamespaceDefault,
				Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"}, // the slice is written here too
			},
			Subsets: subsets,
		}, metav1.CreateOptions{})
		return ignore(err, apierrors.IsAlreadyExists)
	}
	if err != nil || equality.Semantic.DeepEqual(have.Subsets, subsets) && have.Labels[discoveryv1.LabelSkipMirror] == "true" {
		return err
	}
	update := have.DeepCopy()
	update.Subsets = subsets
	if update.Labels == nil {
		update.Labels = map[string]string{}
	}
	update.Labels[discoveryv1.LabelSkipMirror] = "true"
	_, err = api.Update(ctx, update, metav1.UpdateOptions{})
	return err
}

func (k *kubernetesService) publishSlice(ctx context.Context, live []string) error {
	want := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: kubernetesName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{discoveryv1.LabelServiceName: kubernetesName},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{},
		Ports:       []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(k.port)), Protocol: new(corev1.ProtocolTCP)}},
	}
	if netutils.IsIPv6(k.address) {
		want.AddressType = discoveryv1.AddressTypeIPv6
	}
	for _, ip := range live {
		if netutils.IsIPv6String(ip) == (want.AddressType == discoveryv1.AddressTypeIPv6) {
			want.Endpoints = append(want.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
		}
	}
	api := k.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	have, err := api.Get(ctx, kubernetesName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = api.Create(ctx, want, metav1.CreateOptions{})
		return ignore(err, apierrors.IsAlreadyExists)
	}
	if err != nil {
		return err
	}
	if have.AddressType != want.AddressType { // it cannot be changed
		if err := api.Delete(ctx, kubernetesName, metav1.DeleteOptions{}); err != nil {
			return err
		}
		_, err = api.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	update := have.DeepCopy()
	update.Labels, update.Endpoints, update.Ports = want.Labels, want.Endpoints, want.Ports
	if equality.Semantic.DeepEqual(update, have) {
		return nil
	}
	_, err = api.Update(ctx, update, metav1.UpdateOptions{})
	return err
}

func portOf(g *genericapiserver.Config) (int, error) {
	_, port, err := g.SecureServing.HostPort()
	if err != nil {
		return 0, fmt.Errorf("finding the port of this server: %w", err)
	}
	if port <= 0 {
		return 0, fmt.Errorf("finding the port of this server: %s is none", strconv.Itoa(port))
	}
	return port, nil
}
