package lifecycle

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateCustom_EvictionRequestSpec_Requester is the hand-written rule that the generated ones call by this name: the
// domains of Kubernetes itself are reserved (KEP-4563).
func ValidateCustom_EvictionRequestSpec_Requester(_ context.Context, _ operation.Operation, p *field.Path, requester, _ *string) field.ErrorList {
	domain, _, _ := strings.Cut(*requester, "/")
	for _, reserved := range []string{"k8s.io", "kubernetes.io"} {
		if domain == reserved || strings.HasSuffix(domain, "."+reserved) {
			return field.ErrorList{field.Invalid(p, *requester, "domain names *.k8s.io and *.kubernetes.io are reserved")}
		}
	}
	return nil
}
