package probes

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"k8s.io/component-base/version"
)

// grpcProbe asks the gRPC health service (KEP-2727).
func grpcProbe(ctx context.Context, address, service string, timeout time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithUserAgent("kube-probe/"+version.Get().Major+"."+version.Get().Minor),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy())
	if err != nil {
		return failed("error: unable to connect to %q: %v", address, err)
	}
	defer conn.Close() // nothing is lost with the connection of a probe
	resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	if err != nil {
		switch code := status.Code(err); {
		case code == codes.Unimplemented:
			return failed("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", status.Convert(err).Message())
		case code == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
			return failed("timeout: health rpc did not complete within %v", timeout)
		}
		return failed("error: health rpc probe failed: %+v", err)
	}
	if resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return failed("service unhealthy (responded with %q)", resp.GetStatus().String())
	}
	return answer{outcome: success}, nil
}
