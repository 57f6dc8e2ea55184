package host

import (
	"errors"
	"fmt"
	"net"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Address returns the address other nodes reach this one by: that of the interface of the default route or, where there is no
// default route (a private switch), the first global address of an interface that is up.
func (*Local) Address() (string, error) {
	if ip, err := utilnet.ChooseHostInterface(); err == nil && !ip.IsLoopback() {
		return ip.String(), nil
	}
	links, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("listing network interfaces: %w", err)
	}
	var v6 net.IP
	for _, link := range links {
		if link.Flags&net.FlagUp == 0 || link.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := link.Addrs()
		if err != nil {
			continue
		}
		for _, address := range addresses {
			subnet, ok := address.(*net.IPNet)
			if !ok || !subnet.IP.IsGlobalUnicast() {
				continue
			}
			if subnet.IP.To4() != nil {
				return subnet.IP.String(), nil
			}
			if v6 == nil {
				v6 = subnet.IP
			}
		}
	}
	if v6 != nil {
		return v6.String(), nil
	}
	return "", errors.New("no interface that is up has a global address: give the address explicitly")
}
