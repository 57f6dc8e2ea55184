// Command cloud-controller-manager runs the controllers that ask a cloud: nodes, their life, routes and load
// balancers. The framework and the controllers are k8s.io/cloud-provider's; the clouds are below providers/.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"k8s.io/apimachinery/pkg/util/wait"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/version/verflag"

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
	cmd.PreRunE = func(*cobra.Command, []string) error { return validate(o) }
	return daemon.Main(cmd)
}

// validate finds what is wrong with the flags before the framework begins, which would tell it twice.
func validate(o *options.CloudControllerManagerOptions) error {
	verflag.PrintAndExitIfRequested()
	controllers := app.ControllerNames(app.DefaultInitFuncConstructors)
	err := o.Validate(controllers, app.ControllersDisabledByDefault.List(), names.CCMControllerAliases(), app.AllWebhooks, app.DisabledByDefaultWebhooks)
	if err != nil {
		return err
	}
	if err := known(o.KubeCloudShared.CloudProvider.Name); err != nil {
		return err
	}
	_, err = daemon.ClientConfig(o.Master, "cloud-controller-manager", o.Generic.ClientConnection)
	return err
}

func known(provider string) error {
	if providers[provider] != nil {
		return nil
	}
	return fmt.Errorf("--cloud-provider=%q is not known: there is %s", provider, strings.Join(slices.Sorted(maps.Keys(providers)), ", "))
}

// cloud opens the provider that the flags name. The framework gives no way to return a fault: it ends the process.
func cloud(c *config.CompletedConfig) cloudprovider.Interface {
	name := c.ComponentConfig.KubeCloudShared.CloudProvider.Name
	p, err := providers[name](c.ComponentConfig.KubeCloudShared.CloudProvider.CloudConfigFile)
	if err != nil {
		fail(fmt.Errorf("--cloud-provider=%s: %w", name, err))
	}
	return p
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "cloud-controller-manager:", err)
	os.Exit(1)
}
