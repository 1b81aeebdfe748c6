{{/* What `kubectl sew install` refuses: values that contradict each other, and a cluster that is not ready for them. */}}
{{- define "kubectl-sew.checkValues" -}}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.store.existingSecret) }}
{{- fail "replicaCount: more than one agent needs store.existingSecret: without PostgreSQL a volume serves one agent" }}
{{- end }}
{{- if and .Values.store.existingSecret .Values.persistence.existingClaim }}
{{- fail "store.existingSecret and persistence.existingClaim cannot be given together: PostgreSQL needs no claim" }}
{{- end }}
{{- if and .Values.elasticsearch.existingSecret (not .Values.elasticsearch.secretKeys) }}
{{- fail "elasticsearch.secretKeys: name the keys of elasticsearch.existingSecret that the agent is to use, e.g. [api-key]" }}
{{- end }}
{{- if and .Values.elasticsearch.secretKeys (not .Values.elasticsearch.existingSecret) }}
{{- fail "elasticsearch.existingSecret: name the Secret that has the keys of elasticsearch.secretKeys" }}
{{- end }}
{{- if contains "@" .Values.elasticsearch.urls }}
{{- fail "elasticsearch.urls: a user and a password do not belong into values, which are kept in clear: put them into a Secret, and name that as elasticsearch.existingSecret" }}
{{- end }}
{{- range splitList "," .Values.elasticsearch.urls | compact }}
{{- if not (regexMatch "^https?://[^/]" (trim .)) }}
{{- fail "elasticsearch.urls: each begins with https:// or http://, and commas separate them" }}
{{- end }}
{{- end }}
{{- $settings := include "kubectl-sew.settings" . | fromYaml }}
{{- range .Values.extraEnv }}
{{- if and (eq .name "SEW_STORE") (hasKey . "value") }}
{{- fail "extraEnv: SEW_STORE is a secret, and values are kept in clear: put its URL into a Secret, and name that as store.existingSecret" }}
{{- end }}
{{- if regexMatch "://[^/]*@" (toString .value) }}
{{- fail (printf "extraEnv: the URL of %s holds a password, and values are kept in clear: put it into a Secret, and refer to that by valueFrom" .name) }}
{{- end }}
{{- if and (hasKey $settings .name) (ne .name "SEW_ELASTICSEARCH") }}
{{- fail (printf "extraEnv: %s is set by other values of the chart: leave it out of extraEnv" .name) }}
{{- end }}
{{- if has .name (list "SEW_ELASTICSEARCH" "SEW_STATE" "SEW_LISTEN" "POD_NAME" "POD_NAMESPACE") }}
{{- fail (printf "extraEnv: %s is set by the chart itself%s" .name (eq .name "SEW_ELASTICSEARCH" | ternary ": use elasticsearch.urls" "")) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Looks at the cluster, which `helm template` and Argo CD do not have: nothing is refused there. */}}
{{- define "kubectl-sew.checkCluster" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" }}
{{- $secrets := .Values.secretsNamespace.name }}
{{- if not (or .Values.secretsNamespace.create (lookup "v1" "Namespace" "" $secrets)) }}
{{- fail (printf "the Secrets' namespace %s does not exist: `kubectl create namespace %s`, or set secretsNamespace.create" $secrets $secrets) }}
{{- end }}
{{- if and .Values.crds.enabled (eq .Values.crds.group "projectcalico.org") }}
{{- $service := lookup "apiregistration.k8s.io/v1" "APIService" "" "v3.projectcalico.org" | default dict }}
{{- if dig "spec" "service" "" $service }}
{{- fail "Calico's API server hides definitions in the group projectcalico.org here: set crds.enabled=false if it serves SecurityEventWebhooks (Calico Enterprise, Calico Cloud), else crds.group=crd.projectcalico.org" }}
{{- end }}
{{- end }}
{{- if not .Values.besideCalico }}
{{- range (lookup "apps/v1" "Deployment" $secrets "").items }}
{{- $name := .metadata.name }}
{{- range .spec.template.spec.containers }}
{{- if eq .name "webhooks-processor" }}
{{- fail (printf "Calico's own processor runs in deployment/%s (namespace %s), and each event would be sent twice: besideCalico=true installs an agent that delivers only the webhooks that `kubectl sew takeover` gives it" $name $secrets) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
