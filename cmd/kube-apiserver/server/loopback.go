package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/rest"

	"pilotis.dev/pkg/certs"
)

// loopbackValidity is how long a server may run until it has to be restarted; its liveness probe fails then.
const loopbackValidity = 3 * 365 * 24 * time.Hour

// addLoopback lets the server be its own client, with a certificate for that alone. It does what
// options.SecureServingOptionsWithLoopback does, whose RSA keys cost a start 0.2 s.
func addLoopback(g *genericapiserver.Config) error {
	began := time.Now().Round(0) // a clock that a sleeping machine does not stop
	name := genericapiserver.LoopbackClientServerNameOverride
	chain, key, err := certs.SelfSigned(certs.Spec{
		CommonName: name, DNSNames: []string{name}, Now: began, Validity: loopbackValidity, Algorithm: certs.ECDSAP256,
	})
	if err != nil {
		return err
	}
	provider, err := dynamiccertificates.NewStaticSNICertKeyContent("self-signed loopback", chain, key, name)
	if err != nil {
		return err
	}
	// The first of those with one name is taken.
	g.SecureServing.SNICerts = append([]dynamiccertificates.SNICertKeyContentProvider{provider}, g.SecureServing.SNICerts...)
	client, err := g.SecureServing.NewLoopbackClientConfig(uuid.NewString(), chain)
	if err != nil {
		return err
	}
	// The loopback client speaks protobuf and needs no compression: both ends are this process.
	client.ContentType = runtime.ContentTypeProtobuf
	client.DisableCompression = true
	client.WarningHandler = rest.NoWarnings{}
	client.QPS, client.Burst = -1, -1
	g.LoopbackClientConfig = client

	expiry := healthz.NamedCheck("loopback-serving-certificate", func(*http.Request) error {
		if time.Since(began) > loopbackValidity {
			return errors.New("the loopback serving certificate has expired: restart kube-apiserver")
		}
		return nil
	})
	g.AddHealthzChecks(expiry)
	g.AddLivezChecks(expiry)
	return nil
}
