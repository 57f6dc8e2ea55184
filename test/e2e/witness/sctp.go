package main

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The standard library does not speak SCTP, but takes its one-to-one sockets (RFC 6458, section 4) for streams.

func sctpSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return 0, fmt.Errorf("the kernel has no SCTP: %w", err)
	}
	return fd, nil
}

func listenSCTP(port string) (net.Listener, error) {
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	fd, err := sctpSocket()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "sctp")
	defer file.Close() // net keeps a duplicate
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: number}); err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, 16); err != nil {
		return nil, err
	}
	return net.FileListener(file)
}

func dialSCTP(address string) (net.Conn, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	fd, err := sctpSocket()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "sctp")
	defer file.Close() // net keeps a duplicate
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		return nil, err
	}
	return net.FileConn(file)
}
