package validation

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func secretCreate(s *corev1.Secret) *faults {
	f := metadata(&s.ObjectMeta, namespaced, subdomainName)
	secretContent(f, s)
	return f
}

const frozen = "field is immutable when `immutable` is set"

func secretUpdate(s, old *corev1.Secret) *faults {
	f := metadataUpdate(&s.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "type", s.Type, old.Type)
	if old.Immutable != nil && *old.Immutable {
		if s.Immutable == nil || !*s.Immutable {
			f.forbidden(nil, "immutable", frozen)
		}
		if !same(s.Data, old.Data) {
			f.forbidden(nil, "data", frozen)
		}
	}
	secretContent(f, s)
	return f
}

func secretContent(f *faults, s *corev1.Secret) {
	data := field.NewPath("data")
	total := 0
	for key, v := range s.Data {
		f.messages(data.Key(key), "", key, validation.IsConfigMapKey(key))
		total += len(v)
	}
	if total > corev1.MaxSecretSize {
		f.tooLong(data, "", corev1.MaxSecretSize)
	}
	need := func(key string) bool {
		if _, ok := s.Data[key]; ok {
			return true
		}
		f.required(data.Key(key), "", "")
		return false
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			f.required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), "", "")
		}
	case corev1.SecretTypeDockercfg:
		if need(corev1.DockerConfigKey) {
			jsonObject(f, s.Data[corev1.DockerConfigKey], data.Key(corev1.DockerConfigKey))
		}
	case corev1.SecretTypeDockerConfigJson:
		if need(corev1.DockerConfigJsonKey) {
			jsonObject(f, s.Data[corev1.DockerConfigJsonKey], data.Key(corev1.DockerConfigJsonKey))
		}
	case corev1.SecretTypeBasicAuth:
		_, user := s.Data[corev1.BasicAuthUsernameKey]
		_, password := s.Data[corev1.BasicAuthPasswordKey]
		if !user && !password {
			f.required(data.Key(corev1.BasicAuthUsernameKey), "", "")
			f.required(data.Key(corev1.BasicAuthPasswordKey), "", "")
		}
	case corev1.SecretTypeSSHAuth:
		if len(s.Data[corev1.SSHAuthPrivateKey]) == 0 {
			f.required(data.Key(corev1.SSHAuthPrivateKey), "", "")
		}
	case corev1.SecretTypeTLS:
		need(corev1.TLSCertKey)
		need(corev1.TLSPrivateKeyKey)
	}
}

// jsonObject never repeats the content: it is secret.
func jsonObject(f *faults, raw []byte, p *field.Path) {
	var into map[string]any
	if err := json.Unmarshal(raw, &into); err != nil {
		f.invalid(p, "", "<secret contents redacted>", err.Error())
	}
}
