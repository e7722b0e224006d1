{{/* Names leave room for the longest suffix, and for what controllers append. */}}
{{- define "redeemer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 48 | trimSuffix "-" -}}
{{- end -}}

{{- define "redeemer.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "redeemer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "redeemer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "redeemer.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What all pods of the release have in common. */}}
{{- define "redeemer.releaseSelector" -}}
app.kubernetes.io/name: {{ include "redeemer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Servers only: the Service must not lead to the pods of a Job or a test. */}}
{{- define "redeemer.selector" -}}
{{ include "redeemer.releaseSelector" . }}
app.kubernetes.io/component: server
{{- end -}}

{{/* Labels of every object: dict "root" $ "component" "server". */}}
{{- define "redeemer.labels" -}}
{{- $root := .root -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{ include "redeemer.commonLabels" . }}
{{- end -}}

{{/* Those that pods have too: none that changes with the chart alone, which would replace all servers. */}}
{{- define "redeemer.commonLabels" -}}
{{ include "redeemer.releaseSelector" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tickey-lickey
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels and annotations: dict "root" $ "component" "server" "labels" map "annotations" map. What is more particular wins. */}}
{{- define "redeemer.metadata" -}}
{{- $labels := merge (dict) (default (dict) .labels) (include "redeemer.labels" . | fromYaml) -}}
{{- $annotations := merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations -}}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The labels of a pod: dict "root" $ "component" "server" "labels" map. */}}
{{- define "redeemer.podLabels" -}}
{{- toYaml (merge (dict) (default (dict) .labels) .root.Values.store.clientLabels (include "redeemer.commonLabels" . | fromYaml)) -}}
{{- end -}}

{{- define "redeemer.linkKeysSecret" -}}
{{- default (printf "%s-link-keys" (include "redeemer.fullname" .)) .Values.linkKeys.existingSecret -}}
{{- end -}}

{{- define "redeemer.adminSecret" -}}
{{- default (printf "%s-admin" (include "redeemer.fullname" .)) .Values.admin.existingSecret -}}
{{- end -}}

{{- define "redeemer.libraryClaim" -}}
{{- default (printf "%s-library" (include "redeemer.fullname" .)) .Values.library.pvc.existingClaim -}}
{{- end -}}

{{/*
The data of a Secret that the chart makes, as JSON: what the cluster has, or else what is given. Made once in a rendering, since
random text would differ in each place that it is needed in: dict "root" $ "name" NAME "key" KEY "new" TEXT.
*/}}
{{- define "redeemer.secretData" -}}
{{- $memory := printf "_%s" .name -}}
{{- if not (hasKey .root.Values $memory) -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .name -}}
{{- if $there -}}
{{- if not (get (default (dict) $there.data) .key) -}}
{{- fail (printf "the Secret %s/%s exists and has no `%s`. Put it there, name the key that it has, or, if nothing in it is needed any more, delete the Secret" .root.Release.Namespace .name .key) -}}
{{- end -}}
{{- $_ := set .root.Values $memory $there.data -}}
{{- else -}}
{{- $_ := set .root.Values $memory (dict .key (b64enc .new)) -}}
{{- end -}}
{{- end -}}
{{- toJson (get .root.Values $memory) -}}
{{- end -}}

{{/* One line: the time from which the key signs, and 32 random bytes in base64url without padding. */}}
{{- define "redeemer.linkKeysData" -}}
{{- $secret := randBytes 32 | replace "+" "-" | replace "/" "_" | trimAll "=" -}}
{{- $line := printf "%s %s\n" (dateInZone "2006-01-02T15:04:05Z" now "UTC") $secret -}}
{{- include "redeemer.secretData" (dict "root" . "name" (include "redeemer.linkKeysSecret" .) "key" .Values.linkKeys.key "new" $line) -}}
{{- end -}}

{{- define "redeemer.adminData" -}}
{{- include "redeemer.secretData" (dict "root" . "name" (include "redeemer.adminSecret" .) "key" .Values.admin.key "new" (randAlphaNum 48)) -}}
{{- end -}}

{{/* Which version of a Secret that is not the chart's the cluster has; nothing where the cluster is not asked. */}}
{{- define "redeemer.secretVersion" -}}
{{- with lookup "v1" "Secret" .root.Release.Namespace .name -}}
{{- printf "%s/%s" .metadata.uid .metadata.resourceVersion | sha256sum -}}
{{- end -}}
{{- end -}}

{{/*
Servers read these when they start, so a change must replace them. The password and the CA of Elasticsearch and the admin token are
not among them: servers read those files again by themselves.
*/}}
{{- define "redeemer.checksums" -}}
checksum/config: {{ include "redeemer.config" . | sha256sum }}
{{- if not .Values.linkKeys.existingSecret }}
checksum/link-keys: {{ include "redeemer.linkKeysData" . | sha256sum }}
{{- else }}
{{- with include "redeemer.secretVersion" (dict "root" . "name" .Values.linkKeys.existingSecret) }}
checksum/link-keys: {{ . }}
{{- end }}
{{- end }}
{{- if and (eq .Values.library.type "s3") .Values.library.s3.existingSecret }}
{{- with include "redeemer.secretVersion" (dict "root" . "name" .Values.library.s3.existingSecret) }}
checksum/s3: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The variables that hold no secret. */}}
{{- define "redeemer.config" -}}
{{- with .Values.store -}}
TICKEY_STORE: {{ join "," .urls | quote }}
TICKEY_ELASTICSEARCH_INDEX: {{ .index | quote }}
TICKEY_ELASTICSEARCH_SHARDS: {{ .shards | int64 | quote }}
{{- with .username }}
TICKEY_ELASTICSEARCH_USERNAME: {{ . | quote }}
TICKEY_ELASTICSEARCH_PASSWORD_FILE: {{ printf "/etc/tickey/elasticsearch-credentials/%s" $.Values.store.password.key }}
{{- end }}
{{- if .ca.existingSecret }}
TICKEY_ELASTICSEARCH_CA_FILE: {{ printf "/etc/tickey/elasticsearch-ca/%s" .ca.key }}
{{- end }}
{{- end }}
{{- with .Values.library }}
{{- if eq .type "pvc" }}
TICKEY_LIBRARY: file:/library
{{- else if eq .type "s3" }}
TICKEY_LIBRARY: {{ printf "s3://%s/%s" .s3.bucket .s3.prefix | trimSuffix "/" | quote }}
{{- with .s3.region }}
AWS_REGION: {{ . | quote }}
{{- end }}
{{- with .s3.endpoint }}
AWS_ENDPOINT_URL: {{ . | quote }}
{{- end }}
{{- if .s3.ca.existingSecret }}
AWS_CA_BUNDLE: {{ printf "/etc/tickey/s3-ca/%s" .s3.ca.key }}
{{- end }}
{{- else }}
TICKEY_LIBRARY: "demo:"
{{- end }}
{{- end }}
TICKEY_LINK_KEYS_FILE: {{ printf "/etc/tickey/link-keys/%s" .Values.linkKeys.key }}
{{- if .Values.admin.enabled }}
TICKEY_ADMIN_TOKEN_FILE: {{ printf "/etc/tickey/admin/%s" .Values.admin.key }}
{{- end }}
{{- with .Values.server }}
TICKEY_LOG: {{ .log | quote }}
{{- with .publicUrl }}
TICKEY_PUBLIC_URL: {{ . | quote }}
{{- end }}
{{- with .trustedProxies }}
TICKEY_TRUSTED_PROXIES: {{ join "," . | quote }}
{{- end }}
{{- $host := contains ":" .listen.address | ternary (printf "[%s]" .listen.address) .listen.address }}
TICKEY_LISTEN: {{ printf "%s:%d" $host (int .listen.port) | quote }}
TICKEY_OPS_LISTEN: {{ printf "%s:%d" $host (int .listen.opsPort) | quote }}
TICKEY_LINK_MIN_SECONDS: {{ .links.minSeconds | int64 | quote }}
TICKEY_LINK_MAX_SECONDS: {{ .links.maxSeconds | int64 | quote }}
TICKEY_MAX_RENEWALS: {{ .links.maxRenewals | int64 | quote }}
TICKEY_UNKNOWN_BURST: {{ .limits.unknownBurst | int64 | quote }}
TICKEY_UNKNOWN_PER_MINUTE: {{ .limits.unknownPerMinute | int64 | quote }}
TICKEY_MAX_CONNECTIONS: {{ .limits.maxConnections | int64 | quote }}
TICKEY_LINK_DOWNLOADS: {{ .limits.linkDownloads | int64 | quote }}
TICKEY_NETWORK_DOWNLOADS: {{ .limits.networkDownloads | int64 | quote }}
TICKEY_HEAD_TIMEOUT_SECONDS: {{ .limits.headTimeoutSeconds | int64 | quote }}
TICKEY_BODY_TIMEOUT_SECONDS: {{ .limits.bodyTimeoutSeconds | int64 | quote }}
TICKEY_REQUEST_TIMEOUT_SECONDS: {{ .limits.requestTimeoutSeconds | int64 | quote }}
TICKEY_WRITE_TIMEOUT_SECONDS: {{ .limits.writeTimeoutSeconds | int64 | quote }}
{{- end }}
TICKEY_DRAIN_DELAY_SECONDS: {{ .Values.shutdown.drainDelaySeconds | int64 | quote }}
TICKEY_SHUTDOWN_GRACE_SECONDS: {{ .Values.shutdown.graceSeconds | int64 | quote }}
{{- end -}}

{{/*
Resources of a server. Memory is limited to what it needs with as many connections as it takes, unless a limit is given: 64 MiB for
itself and 56 KiB for each connection. A test of the program (src/lifecycle.rs) knows these two numbers.
*/}}
{{- define "redeemer.resources" -}}
{{- with .Values.resources -}}
{{- $kibibytes := add 65536 (mul 56 (int64 $.Values.server.limits.maxConnections)) -}}
{{- $limit := dict "limits" (dict "memory" (printf "%dMi" (div (add $kibibytes 1023) 1024))) -}}
{{- toYaml (merge (deepCopy .) $limit) -}}
{{- end -}}
{{- end -}}

{{/* What a container of the chart runs with, for servers, the seed Job and the test: dict "root" $ "parts" (list "library" "linkKeys" "admin"). */}}
{{- define "redeemer.containerBase" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
image: {{ include "redeemer.image" $root | quote }}
imagePullPolicy: {{ $v.image.pullPolicy }}
{{- with $v.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
envFrom:
  - configMapRef:
      name: {{ include "redeemer.fullname" $root }}
  {{- with $v.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $s3 := and (has "library" .parts) (eq $v.library.type "s3") $v.library.s3.existingSecret }}
{{- if or $s3 $v.extraEnv }}
env:
  {{- if $s3 }}
  - name: AWS_ACCESS_KEY_ID
    valueFrom:
      secretKeyRef:
        name: {{ $v.library.s3.existingSecret }}
        key: {{ $v.library.s3.accessKeyIdKey }}
  - name: AWS_SECRET_ACCESS_KEY
    valueFrom:
      secretKeyRef:
        name: {{ $v.library.s3.existingSecret }}
        key: {{ $v.library.s3.secretAccessKeyKey }}
  {{- end }}
  {{- with $v.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Whole volumes, never a subPath of a Secret: only those follow when the Secret changes. */}}
{{- define "redeemer.volumeMounts" -}}
{{- $v := .root.Values -}}
{{- if $v.store.username }}
- name: elasticsearch-credentials
  mountPath: /etc/tickey/elasticsearch-credentials
  readOnly: true
{{- end }}
{{- if $v.store.ca.existingSecret }}
- name: elasticsearch-ca
  mountPath: /etc/tickey/elasticsearch-ca
  readOnly: true
{{- end }}
{{- if has "linkKeys" .parts }}
- name: link-keys
  mountPath: /etc/tickey/link-keys
  readOnly: true
{{- end }}
{{- if and (has "admin" .parts) $v.admin.enabled }}
- name: admin
  mountPath: /etc/tickey/admin
  readOnly: true
{{- end }}
{{- if and (has "library" .parts) (eq $v.library.type "pvc") }}
- name: library
  mountPath: /library
  readOnly: true
  {{- with $v.library.pvc.subPath }}
  subPath: {{ . | quote }}
  {{- end }}
{{- end }}
{{- if and (has "library" .parts) (eq $v.library.type "s3") $v.library.s3.ca.existingSecret }}
- name: s3-ca
  mountPath: /etc/tickey/s3-ca
  readOnly: true
{{- end }}
{{- with $v.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Mode 0440: root's, and readable by the group that fsGroup names. The server refuses link keys that others could read. */}}
{{- define "redeemer.volumes" -}}
{{- $v := .root.Values -}}
{{- if $v.store.username }}
- name: elasticsearch-credentials
  secret:
    secretName: {{ $v.store.password.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ $v.store.password.key }}
        path: {{ $v.store.password.key }}
{{- end }}
{{- if $v.store.ca.existingSecret }}
- name: elasticsearch-ca
  secret:
    secretName: {{ $v.store.ca.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ $v.store.ca.key }}
        path: {{ $v.store.ca.key }}
{{- end }}
{{- if has "linkKeys" .parts }}
- name: link-keys
  secret:
    secretName: {{ include "redeemer.linkKeysSecret" .root }}
    defaultMode: 0440
    items:
      - key: {{ $v.linkKeys.key }}
        path: {{ $v.linkKeys.key }}
{{- end }}
{{- if and (has "admin" .parts) $v.admin.enabled }}
- name: admin
  secret:
    secretName: {{ include "redeemer.adminSecret" .root }}
    defaultMode: 0440
    items:
      - key: {{ $v.admin.key }}
        path: {{ $v.admin.key }}
{{- end }}
{{- if and (has "library" .parts) (eq $v.library.type "pvc") }}
- name: library
  persistentVolumeClaim:
    claimName: {{ include "redeemer.libraryClaim" .root }}
{{- end }}
{{- if and (has "library" .parts) (eq $v.library.type "s3") $v.library.s3.ca.existingSecret }}
- name: s3-ca
  secret:
    secretName: {{ $v.library.s3.ca.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ $v.library.s3.ca.key }}
        path: {{ $v.library.s3.ca.key }}
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The part of a pod's spec that all pods of the chart share. */}}
{{- define "redeemer.podBase" -}}
{{- $v := .Values -}}
serviceAccountName: {{ include "redeemer.serviceAccountName" . }}
automountServiceAccountToken: false
{{/* A Service named redeemer would otherwise define variables in every pod of the namespace. */ -}}
enableServiceLinks: false
{{- with $v.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with $v.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $v.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- end -}}

{{/* Seconds from a pod's end being asked for until it is killed. */}}
{{- define "redeemer.terminationGracePeriodSeconds" -}}
{{- with .Values.shutdown -}}
{{- $needed := add (int .preStopSeconds) (int .drainDelaySeconds) (int .graceSeconds) -}}
{{- if kindIs "invalid" .terminationGracePeriodSeconds -}}
{{- add $needed (int .marginSeconds) -}}
{{- else -}}
{{- if lt (int64 .terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "shutdown.terminationGracePeriodSeconds is %d, but preStopSeconds + drainDelaySeconds + graceSeconds are %d: requests in flight would be cut off. Raise it, or leave it out" (int64 .terminationGracePeriodSeconds) $needed) -}}
{{- end -}}
{{- int64 .terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Ports of store.urls, without repetition, as JSON. */}}
{{- define "redeemer.storePorts" -}}
{{- $ports := list -}}
{{- range .Values.store.urls -}}
{{- $ports = append $ports (int (include "redeemer.urlPort" .)) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{- define "redeemer.urlPort" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (eq $url.scheme "https" | ternary "443" "80") $port -}}
{{- end -}}

{{/* What the series of this release have in common: those of its pods, and of its servers if they are scraped otherwise. */}}
{{- define "redeemer.podsSelector" -}}
{{- printf `namespace="%s", pod=~"%s-[a-z0-9]+-[a-z0-9]+"` .Release.Namespace (include "redeemer.fullname" .) -}}
{{- end -}}

{{- define "redeemer.seriesSelector" -}}
{{- default (include "redeemer.podsSelector" .) .Values.metrics.prometheusRule.selector -}}
{{- end -}}

{{/* What a schema cannot tell. */}}
{{- define "redeemer.validate" -}}
{{- $v := .Values -}}
{{- if eq (int $v.server.listen.port) (int $v.server.listen.opsPort) -}}
{{- fail "server.listen.port and server.listen.opsPort must differ" -}}
{{- end -}}
{{- if gt (int64 $v.server.links.minSeconds) (int64 $v.server.links.maxSeconds) -}}
{{- fail "server.links.minSeconds must not be more than server.links.maxSeconds" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas must not be more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- $pdb := $v.podDisruptionBudget -}}
{{- $replicas := int ($v.autoscaling.enabled | ternary $v.autoscaling.minReplicas $v.replicaCount) -}}
{{- if and $pdb.enabled (not (kindIs "invalid" $pdb.minAvailable)) (not (kindIs "string" $pdb.minAvailable)) (gt $replicas 0) (ge (int $pdb.minAvailable) $replicas) -}}
{{- fail (printf "podDisruptionBudget.minAvailable is %d of %d servers: none could ever be moved. Lower it, use maxUnavailable, or have more servers" (int $pdb.minAvailable) $replicas) -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor.enabled $v.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor would both read the same metrics, so that everything counted twice: enable one of them" -}}
{{- end -}}
{{- if not (eq (include "redeemer.name" .) ($v.nameOverride | default .Chart.Name)) -}}
{{- fail "nameOverride is longer than 48 characters" -}}
{{- end -}}
{{- end -}}
