package phases

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	"k8s.io/utils/ptr"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

const (
	certsSecret = "kubeadm-certs"
	// certsTTL is how long uploaded certificates stay: the Secret is owned by a bootstrap token that expires then.
	certsTTL = 2 * time.Hour
	keyBytes = 32 // AES-256
)

// NewCertificateKey makes the key that uploaded certificates are encrypted with, as 64 hexadecimal digits.
func NewCertificateKey() (string, error) {
	raw := make([]byte, keyBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw), nil
}

// sharedFiles are what every control plane node has in common, below the certificates folder.
func sharedFiles(c *config.ClusterConfiguration) []string {
	files := []string{"ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", serviceAccountKey, serviceAccountPub}
	if c.Etcd.External == nil {
		files = append(files, "etcd/ca.crt", "etcd/ca.key")
	}
	return files
}

// externalFiles maps the keys of the Secret to the client files of an external etcd.
func externalFiles(c *config.ClusterConfiguration) map[string]string {
	if c.Etcd.External == nil || c.Etcd.External.CAFile == "" {
		return nil
	}
	return map[string]string{"external-etcd-ca.crt": c.Etcd.External.CAFile, "external-etcd.crt": c.Etcd.External.CertFile, "external-etcd.key": c.Etcd.External.KeyFile}
}

// secretKey is how a file is called in the Secret, whose keys hold no slash.
func secretKey(file string) string { return strings.ReplaceAll(file, "/", "-") }

// UploadCerts stores the shared certificates, encrypted with key, for control plane nodes that join within two hours.
func (n *Node) UploadCerts(ctx context.Context, client kubernetes.Interface, key string) error {
	n.say("upload-certs", "Storing the certificates in Secret %q in the %q Namespace", certsSecret, metav1.NamespaceSystem)
	token := config.BootstrapToken{Description: "Proxy for managing TTL for the kubeadm-certs secret", TTL: &metav1.Duration{Duration: certsTTL}}
	text, err := bootstraputil.GenerateBootstrapToken()
	if err != nil {
		return err
	}
	token.Token = text
	object, err := cluster.TokenSecret(token, n.Now())
	if err != nil {
		return err
	}
	var owner *corev1.Secret
	err = cluster.Retry(ctx, n.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error {
		owner, err = client.CoreV1().Secrets(object.Namespace).Create(ctx, object, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("creating the token that bounds the life of Secret %s: %w", certsSecret, err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: metav1.NamespaceSystem, Name: certsSecret,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Secret", Name: owner.Name, UID: owner.UID, Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}},
	}, Data: map[string][]byte{}}
	paths := map[string]string{}
	for _, file := range sharedFiles(n.Cluster) {
		paths[secretKey(file)] = filepath.Join(n.PKI(), file)
	}
	for name, path := range externalFiles(n.Cluster) {
		paths[name] = n.At(path)
	}
	for name, path := range paths {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing: with an authority kept elsewhere certificates cannot be uploaded; copy them to the joining node by hand", path)
		}
		if err != nil {
			return err
		}
		if secret.Data[name], err = seal(data, key); err != nil {
			return err
		}
	}
	return n.apply(ctx, client, append([]runtime.Object{secret}, readObject("kubeadm:kubeadm-certs", metav1.NamespaceSystem, "secrets", certsSecret, joiners())...)...)
}

// DownloadCerts fetches and decrypts the shared certificates and writes them; files that exist are kept.
func (n *Node) DownloadCerts(ctx context.Context, client kubernetes.Interface, key string) error {
	n.say("download-certs", "Downloading the certificates in Secret %q in the %q Namespace", certsSecret, metav1.NamespaceSystem)
	secret, err := client.CoreV1().Secrets(metav1.NamespaceSystem).Get(ctx, certsSecret, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the Secret %s was not found or may not be read: it lives two hours; upload it again with `kubeadm init phase upload-certs --upload-certs` on a control plane node: %w", certsSecret, err)
	}
	paths := map[string]string{}
	for _, file := range sharedFiles(n.Cluster) {
		paths[secretKey(file)] = filepath.Join(n.PKI(), file)
	}
	for name, path := range externalFiles(n.Cluster) {
		paths[name] = n.At(path)
	}
	for name, path := range paths {
		sealed, ok := secret.Data[name]
		if !ok {
			return fmt.Errorf("the Secret %s has no key %q: upload the certificates again", certsSecret, name)
		}
		data, err := unseal(sealed, key)
		if err != nil {
			return fmt.Errorf("key %q of the Secret %s: %w", name, certsSecret, err)
		}
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		mode := fs.FileMode(0o600)
		if strings.HasSuffix(name, ".crt") {
			mode = 0o644
		}
		if err := certs.WriteFile(path, data, mode); err != nil {
			return err
		}
	}
	return nil
}

// seal encrypts with AES-256-GCM; the nonce stands before the ciphertext.
func seal(data []byte, key string) ([]byte, error) {
	gcm, err := aead(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return gcm.Seal(nonce, nonce, data, nil), nil
}

func unseal(sealed []byte, key string) ([]byte, error) {
	gcm, err := aead(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < gcm.NonceSize() {
		return nil, errors.New("the data is too short to be encrypted")
	}
	data, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], nil)
	if err != nil {
		return nil, errors.New("cannot be decrypted: check --certificate-key")
	}
	return data, nil
}

func aead(key string) (cipher.AEAD, error) {
	raw, err := hex.DecodeString(key)
	if err != nil || len(raw) != keyBytes {
		return nil, errors.New("the certificate key must be 64 hexadecimal digits: make one with `kubeadm certs certificate-key`")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
