package cluster

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	"k8s.io/cluster-bootstrap/util/secrets"
	"k8s.io/cluster-bootstrap/util/tokens"
	"pilotis.dev/cmd/kubeadm/config"
)

// TokenSecret returns the Secret a bootstrap token lives in
// (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/). A TTL of zero never expires.
func TokenSecret(t config.BootstrapToken, now time.Time) (*corev1.Secret, error) {
	id, secret, err := tokens.ParseToken(t.Token)
	if err != nil {
		return nil, fmt.Errorf("bootstrap token: %w", err)
	}
	data := map[string]string{
		bootstrapapi.BootstrapTokenIDKey:     id,
		bootstrapapi.BootstrapTokenSecretKey: secret,
	}
	if t.Description != "" {
		data[bootstrapapi.BootstrapTokenDescriptionKey] = t.Description
	}
	switch {
	case t.Expires != nil:
		data[bootstrapapi.BootstrapTokenExpirationKey] = t.Expires.UTC().Format(time.RFC3339)
	case t.TTL != nil && t.TTL.Duration > 0:
		data[bootstrapapi.BootstrapTokenExpirationKey] = now.Add(t.TTL.Duration).UTC().Format(time.RFC3339)
	}
	for _, usage := range t.Usages {
		data[bootstrapapi.BootstrapTokenUsagePrefix+usage] = "true"
	}
	if len(t.Groups) > 0 {
		data[bootstrapapi.BootstrapTokenExtraGroupsKey] = strings.Join(t.Groups, ",")
	}
	object := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: bootstraputil.BootstrapTokenSecretName(id), Namespace: metav1.NamespaceSystem},
		Type:       bootstrapapi.SecretTypeBootstrapToken,
		Data:       map[string][]byte{},
	}
	for key, value := range data {
		object.Data[key] = []byte(value)
	}
	return object, nil
}

// TokenOf reads a bootstrap token back from its Secret.
func TokenOf(object *corev1.Secret) (config.BootstrapToken, error) {
	id := secrets.GetData(object, bootstrapapi.BootstrapTokenIDKey)
	secret := secrets.GetData(object, bootstrapapi.BootstrapTokenSecretKey)
	if object.Name != bootstraputil.BootstrapTokenSecretName(id) {
		return config.BootstrapToken{}, fmt.Errorf("secret %s/%s: its name does not match its %s %q", object.Namespace, object.Name, bootstrapapi.BootstrapTokenIDKey, id)
	}
	t := config.BootstrapToken{
		Token:       bootstraputil.TokenFromIDAndSecret(id, secret),
		Description: secrets.GetData(object, bootstrapapi.BootstrapTokenDescriptionKey),
	}
	if !bootstraputil.IsValidBootstrapToken(t.Token) {
		return t, fmt.Errorf("secret %s/%s: holds no valid bootstrap token", object.Namespace, object.Name)
	}
	if text := secrets.GetData(object, bootstrapapi.BootstrapTokenExpirationKey); text != "" {
		expires, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return t, fmt.Errorf("secret %s/%s: %s: %w", object.Namespace, object.Name, bootstrapapi.BootstrapTokenExpirationKey, err)
		}
		t.Expires = &metav1.Time{Time: expires}
	}
	for key, value := range object.Data {
		if usage, ok := strings.CutPrefix(key, bootstrapapi.BootstrapTokenUsagePrefix); ok && string(value) == "true" {
			t.Usages = append(t.Usages, usage)
		}
	}
	sort.Strings(t.Usages)
	if groups := secrets.GetData(object, bootstrapapi.BootstrapTokenExtraGroupsKey); groups != "" {
		t.Groups = strings.Split(groups, ",")
	}
	return t, nil
}

// Tokens lists the bootstrap tokens of a cluster. Secrets that hold none are returned as faults.
func Tokens(ctx context.Context, client kubernetes.Interface) (list []config.BootstrapToken, faults []error, err error) {
	found, err := client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(bootstrapapi.SecretTypeBootstrapToken)})
	if err != nil {
		return nil, nil, fmt.Errorf("listing bootstrap tokens: %w", err)
	}
	for i := range found.Items {
		if found.Items[i].Type != bootstrapapi.SecretTypeBootstrapToken {
			continue
		}
		t, err := TokenOf(&found.Items[i])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		list = append(list, t)
	}
	return list, faults, nil
}

// CreateToken stores a new bootstrap token; one with the same id must not be there.
func CreateToken(ctx context.Context, client kubernetes.Interface, t config.BootstrapToken, now time.Time) error {
	object, err := TokenSecret(t, now)
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Secrets(object.Namespace).Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("a token with id %q already exists: delete it with `kubeadm token delete`, or choose another", strings.TrimPrefix(object.Name, bootstrapapi.BootstrapTokenSecretPrefix))
	}
	if err != nil {
		return describe(object, err)
	}
	return nil
}

// DeleteToken removes a bootstrap token by its id or its full text.
func DeleteToken(ctx context.Context, client kubernetes.Interface, token string) (id string, err error) {
	id = token
	if bootstraputil.IsValidBootstrapToken(token) {
		id, _, _ = tokens.ParseToken(token)
	}
	if !bootstraputil.IsValidBootstrapTokenID(id) {
		return "", fmt.Errorf("given token didn't match pattern %q or %q", bootstrapapi.BootstrapTokenIDPattern, bootstrapapi.BootstrapTokenPattern)
	}
	if err := client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, bootstraputil.BootstrapTokenSecretName(id), metav1.DeleteOptions{}); err != nil {
		return id, fmt.Errorf("failed to delete bootstrap token %q: %w", id, err)
	}
	return id, nil
}
