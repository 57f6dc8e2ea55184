package table

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesinformers "k8s.io/client-go/informers/certificates/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/app"
	"pilotis.dev/cmd/kube-controller-manager/controllers/accounts"
	"pilotis.dev/cmd/kube-controller-manager/controllers/bootstraptokens"
	"pilotis.dev/cmd/kube-controller-manager/controllers/csr"
	"pilotis.dev/cmd/kube-controller-manager/controllers/trustbundle"
	"pilotis.dev/pkg/tokens"
)

// identity are the controllers of credentials: service accounts and their tokens, certificates, bootstrap tokens.
func identity() []Row {
	return []Row{
		{
			Name: "serviceaccount-controller", Aliases: []string{"serviceaccount"}, ServiceAccount: "service-account-controller",
			Purpose: "makes the service account default of each namespace",
			Cached:  []string{"namespaces", "serviceaccounts"}, Writes: []string{"create serviceaccounts"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return accounts.NewAccounts(env.Informers, env.Client), nil
			},
		},
		{
			Name: "root-ca-certificate-publisher-controller", Aliases: []string{"root-ca-cert-publisher"}, ServiceAccount: "root-ca-cert-publisher",
			Purpose: "publishes the cluster's certificate authority in each namespace",
			Cached:  []string{"namespaces", "configmaps"}, Writes: []string{"create,update configmaps"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				file := env.Config.SAController.RootCAFile
				if file == "" {
					return nil, nil
				}
				ca, err := readCA(file)
				if err != nil {
					return nil, err
				}
				core := env.Informers.Core().V1()
				bundles := coreinformers.NewFilteredConfigMapInformer(env.Reader, metav1.NamespaceAll, 0, nil, app.Narrow(accounts.RootCAFields))
				return app.WithInformers(accounts.NewRootCA(core.Namespaces(), bundles, env.Client, ca), bundles), nil
			},
		},
		{
			// The daemon's own role has what this needs, and no other controller's account is to get it.
			Name: "serviceaccount-token-controller", Aliases: []string{"serviceaccount-token"}, AsDaemon: true,
			Purpose: "signs the tokens in Secrets and deletes those of accounts that are gone",
			Reads:   []string{"secrets", "serviceaccounts"}, Writes: []string{"update,delete secrets", "update serviceaccounts"},
			New: newSecretTokens,
		},
		{
			Name: "legacy-serviceaccount-token-cleaner-controller", Aliases: []string{"legacy-service-account-token-cleaner"}, ServiceAccount: "legacy-service-account-token-cleaner",
			Purpose: "marks and deletes tokens in Secrets that nobody uses",
			Cached:  []string{"secrets", "serviceaccounts", "pods"}, Writes: []string{"patch,delete secrets", "get configmaps " + tokens.TrackingConfigMap},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return accounts.NewLegacyCleaner(accounts.LegacyCleaner{Informers: env.Informers, Reader: env.Reader, Client: env.Client, Period: env.Config.LegacySATokenCleaner.CleanUpPeriod.Duration}), nil
			},
		},
		{
			Name: "certificatesigningrequest-approving-controller", Aliases: []string{"csrapproving"}, ServiceAccount: "certificate-controller",
			Purpose: "approves the requests of kubelets for client certificates",
			Reads:   []string{"certificatesigningrequests.certificates.k8s.io"}, Writes: []string{"update certificatesigningrequests.certificates.k8s.io/approval", "approve signers.certificates.k8s.io kubernetes.io/kube-apiserver-client-kubelet", "create subjectaccessreviews.authorization.k8s.io", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return csr.NewApprover(env.Informers.Certificates().V1().CertificateSigningRequests(), env.Client), nil
			},
		},
		{
			Name: "certificatesigningrequest-signing-controller", Aliases: []string{"csrsigning"}, ServiceAccount: "certificate-controller",
			Purpose: "signs approved requests of the built-in signers",
			Reads:   []string{"certificatesigningrequests.certificates.k8s.io"}, Writes: []string{
				"update certificatesigningrequests.certificates.k8s.io/status", events,
				"sign signers.certificates.k8s.io kubernetes.io/legacy-unknown,kubernetes.io/kubelet-serving,kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kube-apiserver-client",
			},
			New: newSigners,
		},
		{
			Name: "certificatesigningrequest-cleaner-controller", Aliases: []string{"csrcleaner"}, ServiceAccount: "certificate-controller",
			Purpose: "deletes requests that are done, denied or forgotten",
			Reads:   []string{"certificatesigningrequests.certificates.k8s.io"}, Writes: []string{"delete certificatesigningrequests.certificates.k8s.io"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return csr.NewCleaner(env.Informers.Certificates().V1().CertificateSigningRequests(), env.Client), nil
			},
		},
		{
			Name: "podcertificaterequest-cleaner-controller", ServiceAccount: "podcertificaterequest-cleaner",
			Purpose: "deletes PodCertificateRequests after 15 minutes",
			Reads:   []string{"podcertificaterequests.certificates.k8s.io"}, Writes: []string{"delete podcertificaterequests.certificates.k8s.io"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return csr.NewPodRequestCleaner(env.Informers.Certificates().V1().PodCertificateRequests(), env.Client, clock.RealClock{}), nil
			},
		},
		{
			Name: "kube-apiserver-serving-clustertrustbundle-publisher-controller", ServiceAccount: "kube-apiserver-serving-clustertrustbundle-publisher",
			Purpose: "publishes the authority of the API server's certificate as a ClusterTrustBundle",
			Reads:   []string{"clustertrustbundles.certificates.k8s.io"},
			Writes:  []string{"create,update,delete clustertrustbundles.certificates.k8s.io", "attest signers.certificates.k8s.io " + trustbundle.Signer},
			New: func(_ context.Context, env *Env) (Runner, error) {
				file := env.Config.SAController.RootCAFile
				if file == "" {
					return nil, nil
				}
				ca, err := readCA(file)
				if err != nil {
					return nil, err
				}
				bundles := certificatesinformers.NewFilteredClusterTrustBundleInformer(env.Reader, 0, nil, app.Narrow(trustbundle.Fields))
				return app.WithInformers(trustbundle.New(bundles, env.Client, string(ca)), bundles), nil
			},
		},
		{
			Name: "bootstrap-signer-controller", Aliases: []string{"bootstrapsigner"}, ServiceAccount: "bootstrap-signer", OffByDefault: true,
			Purpose: "signs the ConfigMap cluster-info with each bootstrap token",
			Cached:  []string{"secrets", "configmaps"}, Writes: []string{"get,list,watch secrets in kube-system", "get,list,watch configmaps in kube-public", "update configmaps cluster-info in kube-public"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				tokens := bootstrapTokens(env)
				info := coreinformers.NewFilteredConfigMapInformer(env.Reader, metav1.NamespacePublic, 0, nil, app.Narrow(bootstraptokens.ClusterInfoFields))
				return app.WithInformers(bootstraptokens.NewSigner(tokens, info, env.Client), tokens, info), nil
			},
		},
		{
			Name: "token-cleaner-controller", Aliases: []string{"tokencleaner"}, ServiceAccount: "token-cleaner", OffByDefault: true,
			Purpose: "deletes bootstrap tokens that have expired",
			Cached:  []string{"secrets"}, Writes: []string{"get,list,watch,delete secrets in kube-system"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				tokens := bootstrapTokens(env)
				return app.WithInformers(bootstraptokens.NewCleaner(tokens, env.Client), tokens), nil
			},
		},
	}
}

func newSecretTokens(_ context.Context, env *Env) (Runner, error) {
	c := env.Config.SAController
	if c.ServiceAccountKeyFile == "" {
		return nil, nil
	}
	key, err := keyutil.PrivateKeyFromFile(c.ServiceAccountKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--service-account-private-key-file: %w", err)
	}
	signer, err := tokens.NewSigner(tokens.LegacyIssuer, key)
	if err != nil {
		return nil, fmt.Errorf("--service-account-private-key-file=%s: %w", c.ServiceAccountKeyFile, err)
	}
	ca := env.REST.CAData
	if c.RootCAFile != "" {
		if ca, err = readCA(c.RootCAFile); err != nil {
			return nil, err
		}
	}
	secrets := coreinformers.NewFilteredSecretInformer(env.Reader, metav1.NamespaceAll, 0, accounts.TokenSecretIndexers(), app.Narrow("type="+string(v1.SecretTypeServiceAccountToken)))
	return app.WithInformers(accounts.NewSecretTokens(accounts.SecretTokens{
		Client: env.Client, Secrets: secrets, Accounts: env.Informers.Core().V1().ServiceAccounts(), Signer: signer, RootCA: ca, Workers: int(c.ConcurrentSATokenSyncs),
	}), secrets), nil
}

// readCA is the bundle in the file of --root-ca-file.
func readCA(file string) ([]byte, error) {
	ca, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, fmt.Errorf("--root-ca-file: %w", err)
	}
	if _, err := certutil.ParseCertsPEM(ca); err != nil {
		return nil, fmt.Errorf("--root-ca-file=%s: %w", file, err)
	}
	return ca, nil
}

func bootstrapTokens(env *Env) cache.SharedIndexInformer {
	byNamespace := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	return coreinformers.NewFilteredSecretInformer(env.Reader, metav1.NamespaceSystem, 0, byNamespace, app.Narrow(bootstraptokens.TokenFields))
}

// newSigners makes a signer of each CA that the flags name; --cluster-signing-* serves the names without one of their own.
func newSigners(_ context.Context, env *Env) (Runner, error) {
	c := env.Config.CSRSigningController
	var runners []Runner
	for _, s := range []struct {
		name      string
		cert, key string
		signer    string
	}{
		{"csrsigning-kubelet-serving", c.KubeletServingSignerConfiguration.CertFile, c.KubeletServingSignerConfiguration.KeyFile, certificatesv1.KubeletServingSignerName},
		{"csrsigning-kubelet-client", c.KubeletClientSignerConfiguration.CertFile, c.KubeletClientSignerConfiguration.KeyFile, certificatesv1.KubeAPIServerClientKubeletSignerName},
		{"csrsigning-kube-apiserver-client", c.KubeAPIServerClientSignerConfiguration.CertFile, c.KubeAPIServerClientSignerConfiguration.KeyFile, certificatesv1.KubeAPIServerClientSignerName},
		{"csrsigning-legacy-unknown", c.LegacyUnknownSignerConfiguration.CertFile, c.LegacyUnknownSignerConfiguration.KeyFile, "kubernetes.io/legacy-unknown"},
	} {
		if s.cert == "" {
			s.cert, s.key = c.ClusterSigningCertFile, c.ClusterSigningKeyFile
		}
		if s.cert == "" {
			continue
		}
		runners = append(runners, csr.NewSigning(s.name, csr.Signer{CertFile: s.cert, KeyFile: s.key, Duration: c.ClusterSigningDuration.Duration, Names: []string{s.signer}},
			env.Informers.Certificates().V1().CertificateSigningRequests(), env.Client))
	}
	if len(runners) == 0 {
		return nil, nil
	}
	return app.Together(runners...), nil
}
