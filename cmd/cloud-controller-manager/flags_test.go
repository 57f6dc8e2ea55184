package main

import (
	"testing"

	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"

	"pilotis.dev/pkg/daemon/daemontest"
)

// TestFlags holds the list of https://kubernetes.io/docs/reference/command-line-tools-reference/cloud-controller-manager/: a new version of
// k8s.io/cloud-provider that takes one away or brings one is noticed.
func TestFlags(t *testing.T) {
	o, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		t.Fatal(err)
	}
	flags := o.Flags(app.ControllerNames(app.DefaultInitFuncConstructors), app.ControllersDisabledByDefault.List(), names.CCMControllerAliases(), app.AllWebhooks, app.DisabledByDefaultWebhooks)
	daemontest.CheckFlags(t, &flags, `allocate-node-cidrs allow-untagged-cloud authentication-kubeconfig authentication-skip-lookup authentication-token-webhook-cache-ttl
		authentication-tolerate-lookup-failure authorization-always-allow-paths authorization-kubeconfig
		authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl bind-address cert-dir cidr-allocator-type
		client-ca-file cloud-config cloud-provider cluster-cidr cluster-name concurrent-node-lifecycle-syncs concurrent-node-status-updates
		concurrent-node-syncs concurrent-service-syncs configure-cloud-routes contention-profiling controller-start-interval controllers
		disable-http2-serving enable-leader-migration external-cloud-volume-plugin feature-gates http2-max-streams-per-connection
		kube-api-burst kube-api-content-type kube-api-qps kubeconfig leader-elect leader-elect-lease-duration leader-elect-renew-deadline
		leader-elect-resource-lock leader-elect-resource-name leader-elect-resource-namespace leader-elect-retry-period
		leader-migration-config master min-resync-period node-monitor-period node-status-update-frequency node-sync-period permit-address-sharing
		permit-port-sharing profiling requestheader-allowed-names requestheader-client-ca-file requestheader-extra-headers-prefix
		requestheader-group-headers requestheader-uid-headers requestheader-username-headers route-reconciliation-period secure-port
		tls-cert-file tls-cipher-suites tls-curve-preferences tls-min-version tls-private-key-file tls-sni-cert-key
		use-service-account-credentials webhook-bind-address webhook-cert-dir webhook-disable-http2-serving webhook-secure-port
		webhook-tls-cert-file webhook-tls-cipher-suites webhook-tls-curve-preferences webhook-tls-min-version webhook-tls-private-key-file
		webhook-tls-sni-cert-key webhooks`, "logs", "global")
}
