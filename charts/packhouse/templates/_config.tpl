{{/* The address under which clients reach the registry, "" where only they know. */}}
{{- define "packhouse.externalURL" -}}
{{- if .Values.config.external_url -}}
{{- .Values.config.external_url -}}
{{- else if .Values.ingress.enabled -}}
{{- printf "%s://%s" (.Values.ingress.tls | empty | ternary "http" "https") (first .Values.ingress.hosts) -}}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
{{- printf "%s://%s" (.Values.httpRoute.tls | ternary "https" "http") (first .Values.httpRoute.hostnames) -}}
{{- end -}}
{{- end -}}

{{/* packhouse.yaml */}}
{{- define "packhouse.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- with include "packhouse.externalURL" . -}}
{{- $_ := set $config "external_url" . -}}
{{- end -}}
{{- if include "packhouse.shares" . -}}
{{- $storage := deepCopy (default dict $config.storage) -}}
{{- $_ := set $storage "params" (merge (dict) (default dict $storage.params) (dict "rootdirectory" "/blobs")) -}}
{{- $_ := set $config "storage" $storage -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The variable that names the file of a secret: database.url is PACKHOUSE_DATABASE__URL_FILE. */}}
{{- define "packhouse.variable" -}}
{{- printf "PACKHOUSE_%s_FILE" (. | replace "." "__" | upper) -}}
{{- end -}}

{{- define "packhouse.secrets" -}}/run/secrets/packhouse{{- end -}}
