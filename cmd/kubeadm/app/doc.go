// Package app is kubeadm's command line: one file a command. A command reads flags and files into configuration, and hands it to
// a list of phases.
package app
