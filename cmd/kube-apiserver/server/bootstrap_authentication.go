package server

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/cmd/kube-apiserver/auth"
)

const authenticationConfigMap = "extension-apiserver-authentication"

// keepAuthenticationInfo publishes in kube-system how this server knows its clients, so that aggregated API servers
// trust the same ones; a renewed CA file is published anew.
func keepAuthenticationInfo(client kubernetes.Interface, authn *auth.Authentication) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		publish := func(ctx context.Context) error {
			data, err := authenticationInfo(authn)
			if err != nil {
				return err
			}
			return publishAuthenticationInfo(ctx, client, data)
		}
		renewed := make(caListener, 1)
		for _, ca := range []any{authn.ClientCA, requestHeaderCA(authn)} {
			if n, ok := ca.(dynamiccertificates.Notifier); ok && n != nil {
				n.AddListener(renewed)
			}
		}
		if err := untilDone(hook, "configmap "+authenticationConfigMap, publish); err != nil {
			return err
		}
		go func() {
			for {
				select {
				case <-renewed:
					if err := untilDone(hook, "configmap "+authenticationConfigMap, publish); err != nil {
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

type caListener chan struct{}

// Enqueue implements dynamiccertificates.Listener.
func (l caListener) Enqueue() {
	select {
	case l <- struct{}{}:
	default:
	}
}

func requestHeaderCA(authn *auth.Authentication) dynamiccertificates.CAContentProvider {
	if authn.RequestHeader == nil {
		return nil
	}
	return authn.RequestHeader.CAContentProvider
}

func authenticationInfo(authn *auth.Authentication) (map[string]string, error) {
	data := map[string]string{}
	if authn.ClientCA != nil {
		data["client-ca-file"] = string(authn.ClientCA.CurrentCABundleContent())
	}
	h := authn.RequestHeader
	if h == nil {
		return data, nil
	}
	for key, value := range map[string][]string{
		"requestheader-username-headers":     h.UsernameHeaders.Value(),
		"requestheader-uid-headers":          h.UIDHeaders.Value(),
		"requestheader-group-headers":        h.GroupHeaders.Value(),
		"requestheader-extra-headers-prefix": h.ExtraHeaderPrefixes.Value(),
		"requestheader-allowed-names":        h.AllowedClientNames.Value(),
	} {
		if value == nil {
			value = []string{}
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", key, err)
		}
		data[key] = string(text)
	}
	data["requestheader-client-ca-file"] = string(h.CAContentProvider.CurrentCABundleContent())
	return data, nil
}

func publishAuthenticationInfo(ctx context.Context, client kubernetes.Interface, data map[string]string) error {
	api := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	have, err := api.Get(ctx, authenticationConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if err := createNamespace(ctx, client, metav1.NamespaceSystem); err != nil {
			return err
		}
		_, err = api.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: authenticationConfigMap, Namespace: metav1.NamespaceSystem}, Data: data,
		}, metav1.CreateOptions{})
		return ignore(err, apierrors.IsAlreadyExists)
	}
	if err != nil {
		return err
	}
	update := have.DeepCopy()
	if update.Data == nil {
		update.Data = map[string]string{}
	}
	for k, v := range data {
		update.Data[k] = v
	}
	if equality.Semantic.DeepEqual(update.Data, have.Data) {
		return nil
	}
	_, err = api.Update(ctx, update, metav1.UpdateOptions{})
	return err
}
