{{- define "etcdguardian.labels" -}}
app.kubernetes.io/name: etcdguardian
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The component's labels, by which its pods are found. */}}
{{- define "etcdguardian.selector" -}}
app.kubernetes.io/name: etcdguardian
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "etcdguardian.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* What the API server's own files under files/ say for the default namespace, said for this one. */}}
{{- define "etcdguardian.here" -}}
{{ .text | replace "etcd-guardian-system" .namespace }}
{{- end }}

{{- define "etcdguardian.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "etcdguardian.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "etcdguardian.spread" -}}
{{- with .root.Values.controlplane.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.controlplane.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "etcdguardian.selector" .component | nindent 14 }}
{{- end }}

{{- define "etcdguardian.identity" -}}
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_UID
  valueFrom: { fieldRef: { fieldPath: metadata.uid } }
- name: ETCDGUARDIAN_LOG_FORMAT
  value: {{ .Values.logFormat }}
{{- end }}

{{- /* What the control plane needs to know of the pods of drills, which it makes; see controlplane/drill. */}}
{{- define "etcdguardian.drillPod" -}}
{{- $own := pick .Values.drills "encryptionConfigSecret" "env" "nodeSelector" "queriesConfigMap" "resources" "tolerations" }}
{{- $image := dict "image" (include "etcdguardian.image" .) "imagePullPolicy" .Values.image.pullPolicy }}
{{- $more := dict "diskSize" (toString .Values.drills.diskSize) "imagePullSecrets" .Values.imagePullSecrets }}
{{- merge $own $image $more | toJson }}
{{- end }}
