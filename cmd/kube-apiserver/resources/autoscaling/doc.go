// Package autoscaling declares horizontalpodautoscalers, served as v1 and v2.
package autoscaling
