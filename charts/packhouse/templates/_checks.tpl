{{/* What cannot work is refused with a sentence. */}}
{{- define "packhouse.check" -}}
{{- $many := include "packhouse.many" . -}}
{{- $driver := include "packhouse.driver" . -}}
{{- $config := .Values.config -}}

{{- range list "addr" "metrics_addr" "data" "tls.cert" "tls.key" -}}
{{- if include "packhouse.isSet" (list $config .) -}}
{{- fail (printf "config.%s: the chart sets it: remove it. Ports are service.port's, certificates are tls.existingSecret's." .) -}}
{{- end -}}
{{- end -}}

{{- range list "database.url" "redis.password" "redis.sentinel_password" "secrets.key" "secrets.previous" "oidc.client_secret" "storage.params.accesskey" "storage.params.secretkey" "storage.params.sessiontoken" "storage.params.accountkey" -}}
{{- if include "packhouse.isSet" (list $config .) -}}
{{- fail (printf "config.%s: it is a secret, and config is a ConfigMap that many can read: put it into a Secret and set existingSecrets.%s to {name: SECRET, key: KEY}." . .) -}}
{{- end -}}
{{- end -}}

{{- if and $many (not (include "packhouse.database" .)) -}}
{{- fail "replicaCount, autoscaling: several pods need a database that they share, since SQLite belongs to one process: set database.url in existingSecrets, or replicaCount to 1." -}}
{{- end -}}
{{- if and $many (eq $driver "inmemory") -}}
{{- fail "config.storage.driver: several pods do not share memory: use s3aws, gcs or azure." -}}
{{- end -}}
{{- if and $many (eq $driver "filesystem") (not (include "packhouse.shares" .)) -}}
{{- fail "config.storage.driver: several pods need storage that they share: set it to s3aws, gcs or azure, or persistence.accessModes to [ReadWriteMany]." -}}
{{- end -}}
{{- if and (include "packhouse.database" .) (not (hasKey .Values.existingSecrets "secrets.key")) -}}
{{- fail "existingSecrets: database.url needs secrets.key beside it, the same for all pods: without it each pod would seal the signing keys in the database with a key that is lost with the pod. Make one with `openssl rand -base64 32`." -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling: minReplicas is more than maxReplicas." -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.targetCPUUtilizationPercentage) (not .Values.autoscaling.targetMemoryUtilizationPercentage) -}}
{{- fail "autoscaling: set targetCPUUtilizationPercentage or targetMemoryUtilizationPercentage: there is nothing to scale by." -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: name the host: the registry's protocol is at the root of a host of its own." -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: name the Gateway to attach to." -}}
{{- end -}}
{{- end -}}

{{/* Whether a dotted key is in a section: (list SECTION KEY). */}}
{{- define "packhouse.isSet" -}}
{{- $path := splitList "." (index . 1) -}}
{{- $section := index . 0 -}}
{{- range initial $path -}}
{{- $section = kindIs "map" $section | ternary (get (kindIs "map" $section | ternary $section dict) .) "" -}}
{{- end -}}
{{- if kindIs "map" $section -}}
{{- if hasKey $section (last $path) }}true{{ end -}}
{{- end -}}
{{- end -}}
