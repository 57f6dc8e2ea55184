// +k8s:validation-gen=TypesWithField=TypeMeta
// +k8s:validation-gen-input=k8s.io/api/lifecycle/v1alpha1

// Package lifecycle holds the rules that k8s.io/api/lifecycle/v1alpha1 declares by +k8s: tags on its types, as validation-gen
// writes them. hack/generate.sh makes it anew.
package lifecycle

import "k8s.io/apimachinery/pkg/runtime"

// localSchemeBuilder is what generated code registers itself with. Nobody reads it: the functions are called directly.
var localSchemeBuilder runtime.SchemeBuilder
