package defaulting

import corev1 "k8s.io/api/core/v1"

// Secret gives a secret its type and moves stringData, which is for writing only, to data.
func Secret(s *corev1.Secret) {
	value(&s.Type, corev1.SecretTypeOpaque)
	if len(s.StringData) > 0 {
		if s.Data == nil {
			s.Data = make(map[string][]byte, len(s.StringData))
		}
		for k, v := range s.StringData {
			s.Data[k] = []byte(v)
		}
	}
	s.StringData = nil
}
