{{/*
What the values amount to: "true" or "".

  database  names and manifests are in PostgreSQL
  objects   blobs are in object storage
  many      there can be more than one pod
  shares    the volume can be written by several pods, and holds blobs alone
  stateless a pod can be replaced by another while it runs
  volume    there is a volume that outlives pods, at /data or, where it is shared, at /blobs
*/}}
{{- define "packhouse.database" -}}
{{- if hasKey .Values.existingSecrets "database.url" }}true{{ end -}}
{{- end -}}

{{- define "packhouse.driver" -}}
{{- dig "storage" "driver" "filesystem" .Values.config -}}
{{- end -}}

{{- define "packhouse.objects" -}}
{{- if has (include "packhouse.driver" .) (list "s3aws" "gcs" "azure") }}true{{ end -}}
{{- end -}}

{{- define "packhouse.many" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) }}true{{ end -}}
{{- end -}}

{{- define "packhouse.shares" -}}
{{- if and (include "packhouse.database" .) (eq (include "packhouse.driver" .) "filesystem") .Values.persistence.enabled (has "ReadWriteMany" .Values.persistence.accessModes) }}true{{ end -}}
{{- end -}}

{{- define "packhouse.stateless" -}}
{{- if and (include "packhouse.database" .) (or (include "packhouse.objects" .) (include "packhouse.shares" .)) }}true{{ end -}}
{{- end -}}

{{- define "packhouse.volume" -}}
{{- if and .Values.persistence.enabled (not (and (include "packhouse.database" .) (include "packhouse.objects" .))) }}true{{ end -}}
{{- end -}}

{{/* The seconds of a time span as the configuration writes it: 90s, 1h30m, 2d. Rounded up. */}}
{{- define "packhouse.seconds" -}}
{{- if hasSuffix "d" . -}}
{{- mul 86400 (trimSuffix "d" . | int64) -}}
{{- else -}}
{{- $zero := toDate "2006-01-02" "2006-01-02" -}}
{{- $end := mustDateModify (eq . "0" | ternary "0s" .) $zero -}}
{{- sub (unixEpoch (mustDateModify "999ms" $end)) (unixEpoch $zero) -}}
{{- end -}}
{{- end -}}

{{- define "packhouse.grace" -}}
{{- if .Values.terminationGracePeriodSeconds -}}
{{- .Values.terminationGracePeriodSeconds -}}
{{- else -}}
{{- $delay := include "packhouse.seconds" (dig "shutdown" "delay" "0s" .Values.config | toString) -}}
{{- $drain := include "packhouse.seconds" (dig "shutdown" "drain" "30s" .Values.config | toString) -}}
{{- add 15 (int64 $delay) (int64 $drain) -}}
{{- end -}}
{{- end -}}
