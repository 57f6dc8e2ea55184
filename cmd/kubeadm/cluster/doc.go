// Package cluster is kubeadm's side of the API server: connecting with a kubeconfig, creating or updating the objects kubeadm owns,
// reading back the configuration it stored, bootstrap tokens, and a transport that answers for a server in a dry run.
package cluster
