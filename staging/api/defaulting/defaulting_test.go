package defaulting_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"pilotis.dev/api/defaulting"
)

func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := defaulting.Register(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDefaults shows, kind by kind, what a server adds to a sparse object.
func TestDefaults(t *testing.T) {
	s := scheme(t)
	for _, tc := range []struct {
		name     string
		obj      runtime.Object
		in, want string
	}{
		{
			name: "pod",
			obj:  &corev1.Pod{},
			in: `
spec:
  hostNetwork: true
  serviceAccount: robot
  terminationGracePeriodSeconds: -5
  containers:
  - name: a
    image: nginx
    ports: [{containerPort: 80}]
    resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 100m}}
    env: [{name: N, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {grpc: {port: 81}}
  - {name: b, image: "r:5000/nginx:1.2"}
  - {name: c, image: "nginx@sha256:0123"}
  - {name: d, image: "r:5000/nginx"}
  volumes:
  - {name: empty}
  - {name: host, hostPath: {path: /}}
  - {name: s, secret: {secretName: s}}
  - {name: p, projected: {sources: [{serviceAccountToken: {path: t}}, {downwardAPI: {items: [{path: x, fieldRef: {fieldPath: metadata.uid}}]}}]}}`,
			want: `
spec:
  hostNetwork: true
  serviceAccount: robot
  serviceAccountName: robot
  terminationGracePeriodSeconds: 1
  dnsPolicy: ClusterFirst
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  enableServiceLinks: true
  containers:
  - name: a
    image: nginx
    imagePullPolicy: Always
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
    resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 100m, memory: 1Gi}}
    env: [{name: N, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}]
    livenessProbe: {httpGet: {port: 80, path: /, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    readinessProbe: {grpc: {port: 81, service: ""}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
  - {name: b, image: "r:5000/nginx:1.2", imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
  - {name: c, image: "nginx@sha256:0123", imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
  - {name: d, image: "r:5000/nginx", imagePullPolicy: Always, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
  volumes:
  - {name: empty, emptyDir: {}}
  - {name: host, hostPath: {path: /, type: ""}}
  - {name: s, secret: {secretName: s, defaultMode: 0644}}
  - {name: p, projected: {defaultMode: 0644, sources: [{serviceAccountToken: {path: t, expirationSeconds: 3600}}, {downwardAPI: {items: [{path: x, fieldRef: {apiVersion: v1, fieldPath: metadata.uid}}]}}]}}`,
		},
		{
			name: "pod-level resources take up what containers request",
			obj:  &corev1.Pod{},
			in: `
spec:
  securityContext: {}
  resources: {limits: {cpu: 2, memory: 1Gi}}
  containers: [{name: a, image: "a:1", resources: {requests: {cpu: 500m}}}]`,
			want: `
spec:
  securityContext: {}
  dnsPolicy: ClusterFirst
  restartPolicy: Always
  schedulerName: default-scheduler
  terminationGracePeriodSeconds: 30
  enableServiceLinks: true
  resources: {limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 500m, memory: 1Gi}}
  containers: [{name: a, image: "a:1", imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, resources: {requests: {cpu: 500m}}}]`,
		},
		{
			name: "service of type LoadBalancer",
			obj:  &corev1.Service{},
			in:   `spec: {type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 80}, {port: 81, targetPort: web, protocol: UDP}]}`,
			want: `
spec:
  type: LoadBalancer
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}
  externalTrafficPolicy: Cluster
  internalTrafficPolicy: Cluster
  allocateLoadBalancerNodePorts: true
  ports: [{port: 80, targetPort: 80, protocol: TCP}, {port: 81, targetPort: web, protocol: UDP}]`,
		},
		{
			name: "service that is only a name",
			obj:  &corev1.Service{},
			in:   `spec: {type: ExternalName, externalName: a.example}`,
			want: `spec: {type: ExternalName, externalName: a.example, sessionAffinity: None}`,
		},
		{
			name: "secret",
			obj:  &corev1.Secret{},
			in:   `{data: {a: YQ==, b: Yg==}, stringData: {b: c}}`,
			want: `{type: Opaque, data: {a: YQ==, b: Yw==}}`,
		},
		{
			name: "namespace",
			obj:  &corev1.Namespace{},
			in:   `metadata: {name: x}`,
			want: `metadata: {name: x, labels: {kubernetes.io/metadata.name: x}}`,
		},
		{
			name: "claim",
			obj:  &corev1.PersistentVolumeClaim{},
			in:   `spec: {resources: {requests: {storage: 1Gi}}}`,
			want: `{spec: {volumeMode: Filesystem, resources: {requests: {storage: 1Gi}}}, status: {phase: Pending}}`,
		},
		{
			name: "limit range",
			obj:  &corev1.LimitRange{},
			in:   `spec: {limits: [{type: Container, max: {cpu: 2}, min: {memory: 1Mi}}, {type: Pod, max: {cpu: 2}}]}`,
			want: `spec: {limits: [{type: Container, max: {cpu: 2}, min: {memory: 1Mi}, default: {cpu: 2}, defaultRequest: {cpu: 2, memory: 1Mi}}, {type: Pod, max: {cpu: 2}}]}`,
		},
		{
			name: "replication controller",
			obj:  &corev1.ReplicationController{},
			in:   `spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Always}}}`,
			want: `
metadata: {labels: {a: b}}
spec:
  replicas: 1
  selector: {a: b}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: null, restartPolicy: Always, dnsPolicy: ClusterFirst, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30}`,
		},
		{
			name: "deployment",
			obj:  &appsv1.Deployment{},
			in:   `spec: {strategy: {rollingUpdate: {maxSurge: 1}}}`,
			want: `
spec:
  replicas: 1
  revisionHistoryLimit: 10
  progressDeadlineSeconds: 600
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 25%}}
  template: {spec: {containers: null, restartPolicy: Always, dnsPolicy: ClusterFirst, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30}}`,
		},
		{
			name: "stateful set",
			obj:  &appsv1.StatefulSet{},
			in:   `spec: {volumeClaimTemplates: [{metadata: {name: d}}]}`,
			want: `
spec:
  replicas: 1
  revisionHistoryLimit: 10
  podManagementPolicy: OrderedReady
  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0, maxUnavailable: 1}}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
  volumeClaimTemplates: [{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: d}, spec: {volumeMode: Filesystem}, status: {phase: Pending}}]
  template: {spec: {containers: null, restartPolicy: Always, dnsPolicy: ClusterFirst, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30}}`,
		},
		{
			name: "daemon set",
			obj:  &appsv1.DaemonSet{},
			in:   `spec: {}`,
			want: `
spec:
  revisionHistoryLimit: 10
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}
  template: {spec: {containers: null, restartPolicy: Always, dnsPolicy: ClusterFirst, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30}}`,
		},
		{
			name: "job with a failure policy",
			obj:  &batchv1.Job{},
			in: `
spec:
  backoffLimitPerIndex: 1
  podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}
  template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never}}`,
			want: `
metadata: {labels: {a: b}}
spec:
  parallelism: 1
  completions: 1
  backoffLimit: 2147483647
  backoffLimitPerIndex: 1
  completionMode: NonIndexed
  suspend: false
  manualSelector: false
  podReplacementPolicy: Failed
  podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget, status: "True"}]}]}
  template: {metadata: {labels: {a: b}}, spec: {containers: null, restartPolicy: Never, dnsPolicy: ClusterFirst, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30}}`,
		},
		{
			name: "cron job",
			obj:  &batchv1.CronJob{},
			in:   `spec: {schedule: "* * * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never}}}}}`,
			want: `
spec:
  schedule: "* * * * *"
  suspend: false
  concurrencyPolicy: Allow
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 1
  jobTemplate: {spec: {template: {spec: {containers: null, restartPolicy: Never, dnsPolicy: ClusterFirst, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30}}}}`,
		},
		{
			name: "autoscaler",
			obj:  &autoscalingv2.HorizontalPodAutoscaler{},
			in:   `spec: {maxReplicas: 3, behavior: {scaleUp: {selectPolicy: Min}}}`,
			want: `
spec:
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
  behavior:
    scaleUp: {selectPolicy: Min, stabilizationWindowSeconds: 0, policies: [{type: Pods, value: 4, periodSeconds: 15}, {type: Percent, value: 100, periodSeconds: 15}]}
    scaleDown: {selectPolicy: Max, policies: [{type: Percent, value: 100, periodSeconds: 15}]}`,
		},
		{
			name: "autoscaler of v1",
			obj:  &autoscalingv1.HorizontalPodAutoscaler{},
			in:   `spec: {maxReplicas: 3}`,
			want: `spec: {minReplicas: 1, maxReplicas: 3}`,
		},
		{
			name: "network policy",
			obj:  &networkingv1.NetworkPolicy{},
			in:   `spec: {egress: [{ports: [{port: 53}]}]}`,
			want: `spec: {policyTypes: [Ingress, Egress], egress: [{ports: [{port: 53, protocol: TCP}]}]}`,
		},
		{
			name: "ingress class",
			obj:  &networkingv1.IngressClass{},
			in:   `spec: {parameters: {kind: A, name: b}}`,
			want: `spec: {parameters: {kind: A, name: b, scope: Cluster}}`,
		},
		{
			name: "endpoint slice",
			obj:  &discoveryv1.EndpointSlice{},
			in:   `ports: [{port: 80}]`,
			want: `ports: [{port: 80, name: "", protocol: TCP}]`,
		},
		{
			name: "storage class",
			obj:  &storagev1.StorageClass{},
			in:   `provisioner: a.example`,
			want: `{provisioner: a.example, reclaimPolicy: Delete, volumeBindingMode: Immediate}`,
		},
		{
			name: "CSI driver",
			obj:  &storagev1.CSIDriver{},
			in:   `spec: {attachRequired: false}`,
			want: `spec: {attachRequired: false, podInfoOnMount: false, storageCapacity: false, fsGroupPolicy: ReadWriteOnceWithFSType, requiresRepublish: false, seLinuxMount: false, volumeLifecycleModes: [Persistent]}`,
		},
		{
			name: "priority class",
			obj:  &schedulingv1.PriorityClass{},
			in:   `value: 1`,
			want: `{value: 1, preemptionPolicy: PreemptLowerPriority}`,
		},
		{
			name: "role binding",
			obj:  &rbacv1.RoleBinding{},
			in:   `{roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: u}, {kind: ServiceAccount, name: s}]}`,
			want: `{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: u}, {kind: ServiceAccount, name: s}]}`,
		},
		{
			name: "mutating webhook",
			obj:  &admissionregistrationv1.MutatingWebhookConfiguration{},
			in:   `webhooks: [{name: a, clientConfig: {service: {namespace: n, name: s}}, rules: [{operations: ["*"]}], sideEffects: None, admissionReviewVersions: [v1]}]`,
			want: `
webhooks:
- name: a
  clientConfig: {service: {namespace: n, name: s, port: 443}}
  rules: [{operations: ["*"], scope: "*"}]
  sideEffects: None
  admissionReviewVersions: [v1]
  failurePolicy: Fail
  matchPolicy: Equivalent
  reinvocationPolicy: Never
  namespaceSelector: {}
  objectSelector: {}
  timeoutSeconds: 10`,
		},
		{
			name: "validating policy",
			obj:  &admissionregistrationv1.ValidatingAdmissionPolicy{},
			in:   `spec: {matchConstraints: {resourceRules: [{operations: [CREATE]}]}}`,
			want: `spec: {failurePolicy: Fail, matchConstraints: {matchPolicy: Equivalent, namespaceSelector: {}, objectSelector: {}, resourceRules: [{operations: [CREATE], scope: "*"}]}}`,
		},
		{
			name: "binding of a policy",
			obj:  &admissionregistrationv1.ValidatingAdmissionPolicyBinding{},
			in:   `spec: {paramRef: {name: p}}`,
			want: `spec: {paramRef: {name: p, parameterNotFoundAction: Deny}}`,
		},
		{
			name: "flow schema",
			obj:  &flowcontrolv1.FlowSchema{},
			in:   `spec: {priorityLevelConfiguration: {name: a}}`,
			want: `spec: {matchingPrecedence: 1000, priorityLevelConfiguration: {name: a}}`,
		},
		{
			name: "priority level",
			obj:  &flowcontrolv1.PriorityLevelConfiguration{},
			in:   `spec: {type: Limited, limited: {limitResponse: {type: Queue, queuing: {}}}}`,
			want: `spec: {type: Limited, limited: {nominalConcurrencyShares: 30, lendablePercent: 0, limitResponse: {type: Queue, queuing: {handSize: 8, queues: 64, queueLengthLimit: 50}}}}`,
		},
		{
			name: "pod certificate request",
			obj:  &certificatesv1.PodCertificateRequest{},
			in:   `spec: {signerName: a.example/b}`,
			want: `spec: {signerName: a.example/b, maxExpirationSeconds: 86400}`,
		},
		{
			name: "device claim",
			obj:  &resourcev1.ResourceClaim{},
			in:   `spec: {devices: {requests: [{name: a, exactly: {deviceClassName: c, tolerations: [{key: k}]}}, {name: b, firstAvailable: [{name: x, deviceClassName: c, allocationMode: All}]}]}}`,
			want: `spec: {devices: {requests: [{name: a, exactly: {deviceClassName: c, allocationMode: ExactCount, count: 1, tolerations: [{key: k, operator: Equal}]}}, {name: b, firstAvailable: [{name: x, deviceClassName: c, allocationMode: All}]}]}}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := tc.obj.DeepCopyObject()
			if err := yaml.UnmarshalStrict([]byte(tc.in), tc.obj); err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict([]byte(tc.want), want); err != nil {
				t.Fatal(err)
			}
			for _, round := range []string{"first", "second"} {
				s.Default(tc.obj)
				if diff := cmp.Diff(want, tc.obj); diff != "" {
					t.Errorf("%s time, -want +got:\n%s", round, diff)
				}
			}
		})
	}
}

// TestLists shows that each item of a list is filled as it would be alone.
func TestLists(t *testing.T) {
	list := &corev1.SecretList{Items: []corev1.Secret{{}, {Type: "a/b"}}}
	scheme(t).Default(list)
	if list.Items[0].Type != corev1.SecretTypeOpaque || list.Items[1].Type != "a/b" {
		t.Errorf("types are %q and %q", list.Items[0].Type, list.Items[1].Type)
	}
}

// TestQuantitiesAreRounded shows that amounts finer than a thousandth are rounded up.
func TestQuantitiesAreRounded(t *testing.T) {
	q := &corev1.ResourceQuota{}
	if err := yaml.Unmarshal([]byte(`spec: {hard: {cpu: 100500u}}`), q); err != nil {
		t.Fatal(err)
	}
	scheme(t).Default(q)
	if got := q.Spec.Hard.Cpu().String(); got != "101m" {
		t.Errorf("cpu is %s, want 101m", got)
	}
}
