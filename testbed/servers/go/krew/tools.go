//go:build tools

// Package tools names the programs that this module is there to build; `go mod tidy` keeps what they need in go.sum.
package tools

import (
	_ "sigs.k8s.io/krew/cmd/krew"
	_ "sigs.k8s.io/krew/cmd/validate-krew-manifest"
)
