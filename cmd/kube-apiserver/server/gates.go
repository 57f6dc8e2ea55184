package server

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/features"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-apiserver/resources/gated"
)

// addGates makes the gates of the API and of logging known beside those of the libraries.
func addGates(known featuregate.MutableVersionedFeatureGate) error {
	if err := logsapi.AddFeatureGates(known); err != nil {
		return err
	}
	return gated.Add(known)
}

// absent are gates that the libraries know of features that this server does not have.
func absent() []featuregate.Feature {
	return []featuregate.Feature{features.CoordinatedLeaderElection, features.StorageVersionAPI}
}

// checkGates refuses a feature that somebody asked for by name and would not get. Who asks for all of a stage is told.
func checkGates(ctx context.Context, on featuregate.FeatureGate) error {
	for _, name := range absent() {
		switch {
		case !on.Enabled(name):
		case on.Enabled("AllAlpha") || on.Enabled("AllBeta"):
			klog.FromContext(ctx).Info("A feature gate changes nothing: this server does not have the feature", "gate", name)
		default:
			return fmt.Errorf("--feature-gates=%s=true: this server does not have the feature: leave the gate out", name)
		}
	}
	return nil
}
