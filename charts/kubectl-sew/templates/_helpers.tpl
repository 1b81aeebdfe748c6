{{/* The agent's name: the label app.kubernetes.io/name, and a part of the full name. */}}
{{- define "kubectl-sew.name" -}}
{{- default "sew-agent" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the Deployment and of what belongs to it; 53 letters leave room for "-dashboard" in 63. */}}
{{- define "kubectl-sew.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- $name := include "kubectl-sew.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kubectl-sew.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Labels of an object: (dict "root" $ "component" "agent"). */}}
{{- define "kubectl-sew.labels" -}}
{{- $root := .root -}}
helm.sh/chart: {{ include "kubectl-sew.chart" $root }}
{{ include "kubectl-sew.selectorLabels" . }}
app.kubernetes.io/part-of: kubectl-sew
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "kubectl-sew.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kubectl-sew.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* A digest says more than a tag, so it stands alone. */}}
{{- define "kubectl-sew.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kubectl-sew.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "kubectl-sew.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The subject of every binding. */}}
{{- define "kubectl-sew.subject" -}}
- kind: ServiceAccount
  name: {{ include "kubectl-sew.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "kubectl-sew.claimName" -}}
{{- default (include "kubectl-sew.fullname" .) .Values.persistence.existingClaim }}
{{- end }}

{{- define "kubectl-sew.eventMap" -}}
{{ include "kubectl-sew.fullname" . }}-event-map
{{- end }}

{{/* The key differs with the text, so that a changed map starts the agent anew. */}}
{{- define "kubectl-sew.eventMapKey" -}}
map-{{ .Values.eventMap | sha256sum | trunc 8 }}.yaml
{{- end }}

{{/* The setting that names the file of a key of elasticsearch.existingSecret. */}}
{{- define "kubectl-sew.credentialVariables" -}}
api-key: SEW_ELASTICSEARCH_API_KEY_FILE
username: SEW_ELASTICSEARCH_USERNAME_FILE
password: SEW_ELASTICSEARCH_PASSWORD_FILE
token: SEW_ELASTICSEARCH_TOKEN_FILE
ca.crt: SEW_ELASTICSEARCH_CA_FILE
tls.crt: SEW_ELASTICSEARCH_CLIENT_CERT_FILE
tls.key: SEW_ELASTICSEARCH_CLIENT_KEY_FILE
{{- end }}

{{/* The settings that the values decide, as a map: the others of the container are in deployment.yaml. */}}
{{- define "kubectl-sew.settings" -}}
SEW_ELASTICSEARCH: {{ default "https://tigera-secure-es-gateway-http.tigera-elasticsearch.svc:9200" .Values.elasticsearch.urls | quote }}
{{- with .Values.elasticsearch.index }}
SEW_INDEX: {{ . | quote }}
{{- end }}
{{- with .Values.elasticsearch.timeField }}
SEW_TIME_FIELD: {{ . | quote }}
{{- end }}
{{- with .Values.webhooks.selector }}
SEW_SELECTOR: {{ . | quote }}
{{- end }}
{{- with .Values.webhooks.secretSelector }}
SEW_SECRET_SELECTOR: {{ . | quote }}
{{- end }}
{{- if .Values.besideCalico }}
SEW_BESIDE_CALICO: "true"
{{- end }}
{{- if ne .Values.secretsNamespace.name "tigera-intrusion-detection" }}
SEW_SECRETS_NAMESPACE: {{ .Values.secretsNamespace.name | quote }}
{{- end }}
{{- if .Values.store.existingSecret }}
SEW_STORE_FILE: /etc/sew/store/url
{{- end }}
{{- if .Values.eventMap }}
SEW_EVENT_MAP: /etc/sew/event-map/{{ include "kubectl-sew.eventMapKey" . }}
{{- end }}
{{- $variables := include "kubectl-sew.credentialVariables" . | fromYaml }}
{{- if .Values.elasticsearch.existingSecret }}
{{- range .Values.elasticsearch.secretKeys }}
{{ get $variables . }}: /etc/sew/credentials/{{ . }}
{{- end }}
{{- end }}
{{- end }}
