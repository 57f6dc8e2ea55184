// Command cloud-controller-manager runs the controllers that ask a cloud: nodes, their life, routes and load
// balancers. The framework and the controllers are k8s.io/cloud-provider's; the clouds are below providers/.
package main

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/wait"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	cliflag "k8s.io/component-base/cli/flag"

	"pilotis.dev/cmd/cloud-controller-manager/providers/memory"
	"pilotis.dev/pkg/daemon"
)

// providers are the clouds that --cloud-provider can name; each reads its --cloud-config file.
var providers = map[string]func(configFile string) (cloudprovider.Interface, error){
	memory.Name: memory.New,
}

func main() { os.Exit(run()) }

func run() int {
	o, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cloud-controller-manager:", err)
		return 1
	}
	cmd := app.NewCloudControllerManagerCommand(o, cloud, app.DefaultInitFuncConstructors, names.CCMControllerAliases(), cliflag.NamedFlagSets{}, wait.NeverStop)
	return daemon.Main(cmd)
}

// cloud opens the provider that the flags name. The framework gives no way to return a fault: it ends the process.
func cloud(c *config.CompletedConfig) cloudprovider.Interface {
	name := c.ComponentConfig.KubeCloudShared.CloudProvider.Name
	open := providers[name]
	if open == nil {
		var known []string
		for n := range providers {
			known = append(known, n)
		}
		fail(fmt.Errorf("--cloud-provider=%q is not known: there is %s", name, strings.Join(known, ", ")))
	}
	p, err := open(c.ComponentConfig.KubeCloudShared.CloudProvider.CloudConfigFile)
	if err != nil {
		fail(fmt.Errorf("--cloud-provider=%s: %w", name, err))
	}
	return p
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "cloud-controller-manager:", err)
	os.Exit(1)
}
