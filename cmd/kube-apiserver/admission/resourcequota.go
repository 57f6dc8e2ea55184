package admission

import (
	"io"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota/validation"
)

// quotaWorkers is how many namespaces are judged at once; requests of one namespace are judged together.
const quotaWorkers = 5

// newResourceQuota is the library's plugin; what objects use is said by pkg/quota.
func newResourceQuota(config io.Reader) (admission.Interface, error) {
	configuration, err := resourcequota.LoadConfiguration(config)
	if err != nil {
		return nil, err
	}
	if errs := validation.ValidateConfiguration(configuration); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return resourcequota.NewResourceQuota(configuration, quotaWorkers)
}
