package server

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	apiserverinstall "k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/audit"
)

// checkFiles holds the files to their kinds that the library reads only once etcd answers (EncryptionConfiguration) or
// with unknown fields passed over (audit Policy): a misspelt field would leave objects unencrypted or unrecorded.
func (o *Options) checkFiles() error {
	if path := o.Audit.PolicyFile; path != "" {
		if _, err := decodeFile(path, audit.Scheme); err != nil {
			return fmt.Errorf("--audit-policy-file=%s: %w", path, err)
		}
	}
	path := o.Etcd.EncryptionProviderConfigFilepath
	if path == "" {
		return nil
	}
	scheme := runtime.NewScheme()
	apiserverinstall.Install(scheme)
	obj, err := decodeFile(path, scheme)
	if err != nil {
		return fmt.Errorf("--encryption-provider-config=%s: %w", path, err)
	}
	config, ok := obj.(*apiserver.EncryptionConfiguration)
	if !ok {
		return fmt.Errorf("--encryption-provider-config=%s: it holds a %T: expected kind EncryptionConfiguration", path, obj)
	}
	if err := validation.ValidateEncryptionConfiguration(config, o.Etcd.EncryptionProviderConfigAutomaticReload).ToAggregate(); err != nil {
		return fmt.Errorf("--encryption-provider-config=%s: %w", path, err)
	}
	return nil
}

// decodeFile reads an object of the scheme; unknown and repeated fields are errors.
func decodeFile(path string, scheme *runtime.Scheme) (runtime.Object, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	obj, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder().Decode(data, nil, nil)
	return obj, err
}
