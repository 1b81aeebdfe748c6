//go:build tools

// Package tools names the programs that this module is there to build; `go mod tidy` keeps what they need in go.sum.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
