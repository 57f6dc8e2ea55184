package chaos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-controller-manager/app"
	"pilotis.dev/cmd/kube-controller-manager/table"
	"pilotis.dev/test/chaos/faults"
)

var (
	firstSeed  = flag.Uint64("seed", 1, "first seed")
	runs       = flag.Int("runs", 3, "number of seeds; of each three runs of a controller one is a storm of crashes before and after every write")
	storyLines = flag.Int("story", 60, "lines of the story of a run that breaks")
	logs       = flag.Bool("logs", false, "the controllers' log as well")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if !*logs {
		klog.SetLogger(logr.Discard())
	}
	// Handlers with a rate limit keep the time of the last error in the process, and every run has a clock of its own.
	utilruntime.ErrorHandlers = nil
	dir, err := os.MkdirTemp("", "chaos")
	if err == nil {
		err = makeCA(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// caCert and caKey are files of a certificate authority.
var caCert, caKey string

func makeCA(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "chaos"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	caCert, caKey = filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	if err := os.WriteFile(caCert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(caKey, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// configure gives every controller something to do.
func configure(c *app.Config) {
	c.SAController.RootCAFile, c.SAController.ServiceAccountKeyFile = caCert, caKey
	c.CSRSigningController.ClusterSigningCertFile, c.CSRSigningController.ClusterSigningKeyFile = caCert, caKey
	c.KubeCloudShared.AllocateNodeCIDRs, c.KubeCloudShared.ClusterCIDR = true, "10.244.0.0/16"
}

// TestControllers tries every controller of the table in its world.
func TestControllers(t *testing.T) {
	worlds := worlds()
	for _, row := range table.Controllers() {
		world, ok := worlds[row.Name]
		if !ok {
			t.Errorf("the controller %s has no world: write one in worlds()", row.Name)
			continue
		}
		delete(worlds, row.Name)
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			for i := range *runs {
				seed := *firstSeed + uint64(i)
				if ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { run(t, row.Name, world(), seed, modeOf(seed)) })
				}); !ok {
					return
				}
			}
		})
	}
	for name := range worlds {
		t.Errorf("there is a world for %s, which no controller is called", name)
	}
}

func modeOf(seed uint64) faults.Mode {
	if seed%3 == 1 {
		return faults.Storm
	}
	return faults.Random
}
