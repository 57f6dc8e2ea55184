package objects

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestTokensAreRenewedAtFourFifthsOrADay(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_000_000, 0))
	asked, fail := 0, error(nil)
	tokens := NewTokens(nil, clock)
	tokens.request = func(_ context.Context, _, _ string, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
		if fail != nil {
			return nil, fail
		}
		asked++
		out := tr.DeepCopy()
		out.Status.Token = fmt.Sprint(asked)
		out.Status.ExpirationTimestamp = metav1.NewTime(clock.Now().Add(time.Duration(*tr.Spec.ExpirationSeconds) * time.Second))
		return out, nil
	}
	request := func(seconds int64, uid string, audiences ...string) *authenticationv1.TokenRequest {
		return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds, BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", UID: "u-" + "a"}}}
	}
	get := func(tr *authenticationv1.TokenRequest) string {
		t.Helper()
		got, err := tokens.Token(t.Context(), "ns", "default", tr)
		if err != nil {
			t.Fatal(err)
		}
		return got.Status.Token
	}
	hour := request(3600, "a")
	if first, second := get(hour), get(hour); first != "1" || second != "1" {
		t.Error("a fresh token is asked for twice")
	}
	if get(request(3600, "a", "vault")) != "2" {
		t.Error("another audience gets the same token")
	}
	clock.SetTime(clock.Now().Add(47 * time.Minute))
	if get(hour) != "1" {
		t.Error("renewed before four fifths of its life")
	}
	clock.SetTime(clock.Now().Add(2 * time.Minute))
	if get(hour) != "3" {
		t.Error("not renewed after four fifths of its life")
	}
	clock.SetTime(clock.Now().Add(50 * time.Minute))
	fail = errors.New("the API server is away")
	if get(hour) != "3" {
		t.Error("a token that still holds is not used while the API server is away")
	}
	clock.SetTime(clock.Now().Add(time.Hour))
	if _, err := tokens.Token(t.Context(), "ns", "default", hour); err == nil {
		t.Error("an expired token is given")
	}
	fail = nil
	year := request(365*86400, "a")
	first := get(year)
	clock.SetTime(clock.Now().Add(24*time.Hour + time.Minute))
	if get(year) == first {
		t.Error("a long token is not renewed after a day")
	}
	tokens.Release("u-a")
	if len(tokens.cache) != 0 {
		t.Error("tokens of a released pod are kept")
	}
}
