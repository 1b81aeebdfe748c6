//go:build tools

// Package tools names the types that definitions are generated from; `go mod tidy` keeps what they need in go.sum.
package tools

import _ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
