//go:build tools

// Package generated holds code made by generate.sh. This file pins the packages that only the generator reads.
package generated

import (
	_ "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	_ "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	_ "k8s.io/kube-openapi/pkg/common"
)
