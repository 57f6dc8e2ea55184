package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// lookup asks the name servers of /etc/resolv.conf for records of type a, srv, cname or ptr and prints them sorted, a
// line each. A name that does not exist has none.
func lookup(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: witness lookup a|srv|cname|ptr NAME")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	records, err := resolve(ctx, &net.Resolver{PreferGo: true}, args[0], args[1])
	if missing := (*net.DNSError)(nil); errors.As(err, &missing) && missing.IsNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Sort(records)
	for _, r := range records {
		fmt.Println(r)
	}
	return nil
}

func resolve(ctx context.Context, r *net.Resolver, kind, name string) ([]string, error) {
	switch kind {
	case "a":
		return r.LookupHost(ctx, name)
	case "ptr":
		return r.LookupAddr(ctx, name)
	case "cname":
		alias, err := r.LookupCNAME(ctx, name)
		return []string{alias}, err
	case "srv":
		_, services, err := r.LookupSRV(ctx, "", "", name)
		var records []string
		for _, s := range services {
			records = append(records, fmt.Sprintf("%s %d", s.Target, s.Port))
		}
		return records, err
	}
	return nil, fmt.Errorf("no record type %s: a, srv, cname or ptr", kind)
}
