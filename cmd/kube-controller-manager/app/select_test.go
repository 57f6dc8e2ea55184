package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rbacv1 "k8s.io/api/rbac/v1"
)

func TestSelect(t *testing.T) {
	table := []Row{{Name: "a-controller", Aliases: []string{"a"}}, {Name: "b-controller"}, {Name: "c-controller", OffByDefault: true}}
	for _, c := range []struct{ flag, want string }{
		{"*", "a-controller b-controller"}, {"a", "a-controller"}, {"*,c-controller", "a-controller b-controller c-controller"},
		{"*,-a", "b-controller"}, {"-a,a-controller", ""}, {"-b-controller,*", "a-controller"}, {"", ""},
	} {
		var wanted []string
		if c.flag != "" {
			wanted = strings.Split(c.flag, ",")
		}
		rows, err := Select(table, wanted)
		if err != nil {
			t.Errorf("%q: %v", c.flag, err)
		}
		if got := strings.Join(Names(rows), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.flag, got, c.want)
		}
	}
	if _, err := Select(table, []string{"*", "-d"}); err == nil || !strings.Contains(err.Error(), `"d"`) {
		t.Errorf("an unknown controller: error %v", err)
	}
}

func TestRightsComeFromTheTable(t *testing.T) {
	rights, err := Row{Reads: []string{"deployments.apps"}, Cached: []string{"secrets"}, Writes: []string{
		"create,delete pods", "update deployments.apps/status", "create events", "update configmaps a,b in kube-public", "delete secrets in kube-system",
	}}.Rights()
	rule := func(namespace, verbs, groups, resource string, names ...string) Right {
		return Right{namespace, rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: strings.Split(groups, ","), Resources: []string{resource}, ResourceNames: names}}
	}
	want := []Right{
		rule("", "get,list,watch", "apps", "deployments"), rule("", "create,delete", "", "pods"), rule("", "update", "apps", "deployments/status"),
		rule("", "create", ",events.k8s.io", "events"), rule("kube-public", "update", "", "configmaps", "a", "b"), rule("kube-system", "delete", "", "secrets"),
	}
	if diff := cmp.Diff(want, rights); err != nil || diff != "" {
		t.Errorf("error %v, difference:\n%s", err, diff)
	}
	for _, wrong := range []string{"pods", "create pods a b", "create pods a b in kube-system"} {
		if _, err := (Row{Name: "x", Writes: []string{wrong}}).Rights(); err == nil {
			t.Errorf("%q is no error", wrong)
		}
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	for _, c := range []struct {
		edit func(*Config)
		want string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.KubeCloudShared.AllocateNodeCIDRs = true }, "--allocate-node-cidrs=true needs --cluster-cidr"},
		{func(c *Config) { c.KubeCloudShared.ClusterCIDR = "10.0.0.0/33" }, "--cluster-cidr=10.0.0.0/33"},
		{func(c *Config) { c.KubeCloudShared.ClusterCIDR = "10.0.0.0/16,10.1.0.0/16" }, "two ranges of the same IP family"},
		{func(c *Config) { c.KubeCloudShared.ClusterCIDR = "10.0.0.0/16,fd00::/56" }, ""},
		{func(c *Config) { c.CSRSigningController.ClusterSigningCertFile = "/etc/hosts" }, "--cluster-signing-cert-file and --cluster-signing-key-file belong together"},
		{func(c *Config) { c.SAController.RootCAFile = "/no/such/file" }, "--root-ca-file: open /no/such/file"},
		{func(c *Config) { c.DeploymentController.ConcurrentDeploymentSyncs = 0 }, "--concurrent-deployment-syncs=0: must be at least 1"},
		{func(c *Config) { c.AttachDetachController.ReconcilerSyncLoopPeriod.Duration = 0 }, "--attach-detach-reconcile-sync-period=0s: must be at least 1s"},
		{func(c *Config) { c.PersistentVolumeBinderController.PVClaimBinderSyncPeriod.Duration = -1 }, "--pvclaimbinder-sync-period=-1ns: must be positive"},
		{func(c *Config) { c.EndpointSliceMirroringController.MirroringMaxEndpointsPerSubset = 1001 }, "--mirroring-max-endpoints-per-subset=1001: must be between 1 and 1000"},
		{func(c *Config) { c.KubeCloudShared.CloudProvider.Name = "acme" }, "--cloud-provider=acme"},
		{func(c *Config) { c.Generic.Controllers = []string{"nobody"} }, `"nobody" is not in the list`},
	} {
		config := NewConfig()
		c.edit(config)
		err := config.Validate(nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}
